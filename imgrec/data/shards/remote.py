"""Remote files, by fsspec: size and version, content, download; with retries when the network fails."""

import hashlib
import re
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import IO, Any, TypeVar

from imgrec.core.files.atomic_write import FULL
from imgrec.errors import DataError, did_you_mean

__all__ = ["download", "file_facts", "is_remote", "printable_url", "read_remote"]

# fsspec has more protocols: some run code named in a URL, some read other files, some nest ("::").
PROTOCOLS = frozenset(
    "http https s3 s3a gs gcs az abfs abfss adl oss oci hf hdfs webhdfs sftp ssh ftp smb memory".split()  # noqa: SIM905
)
WAITS_S = (0.5, 2.0, 8.0)  # before the second try and later ones
CHUNK_BYTES = 1 << 20
_SILENCE_S = 60  # without a byte, until the connection counts as lost
_RETRY_STATUS = (408, 425, 429)  # HTTP status codes to retry, besides failures of the server (5xx)

T = TypeVar("T")


def is_remote(place: str) -> bool:
    """Return whether `place` is a URL and not a path."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", place) is not None


def printable_url(url: str) -> str:
    """Return the URL for messages and tables: without password, query and signature."""
    return re.sub(r"(?<=://)[^/@]*@", "", re.sub(r"[?#].*", "", url))


def file_facts(url: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return `size` in bytes and what else identifies the version of a file (ETag, time of change).

    Raises:
        FileNotFoundError: There is no such file.
        DataError: It is not available, or the server does not report its size.
    """
    system, path = _open_system(url, options)
    found: Mapping[str, Any] = _with_retries(url, lambda: system.info(path))
    if not isinstance(found.get("size"), int):
        raise DataError(f"{printable_url(url)}: the server does not report its size (Content-Length).")
    marks = ("size", "ETag", "etag", "Last-Modified", "LastModified", "mtime", "md5Hash", "created")
    return {mark: str(found[mark]) if mark != "size" else found[mark] for mark in marks if mark in found}


def read_remote(url: str, options: Mapping[str, Any], *, at_most: int) -> bytes:
    """Return the content of a file.

    Raises:
        FileNotFoundError: There is no such file.
        DataError: It is not available, or has more than `at_most` bytes.
    """
    system, path = _open_system(url, options)

    def read() -> bytes:
        with _stream(system, path, size=None) as stream:
            return b"".join(iter(lambda: stream.read(CHUNK_BYTES), b""))

    size = file_facts(url, options)["size"]
    if size > at_most:
        raise DataError(f"{printable_url(url)} has {size:,} bytes; at most {at_most:,} are read.")
    data: bytes = _with_retries(url, read)
    return data


def download(url: str, options: Mapping[str, Any], *, file: IO[bytes], size: int, sha256: str | None) -> None:
    """Download a file; a transfer that fails or brings other content is repeated.

    Args:
        url: The file.
        options: Options for fsspec.
        file: Where to write, from its beginning.
        size: Expected bytes.
        sha256: Expected digest, None where it is unknown.

    Raises:
        DataError: The file does not exist, or the retries failed.
    """
    system, path = _open_system(url, options)
    try:
        _with_retries(url, lambda: _copy(system, path, file=file, size=size, sha256=sha256))
    except FileNotFoundError:
        raise DataError(f"{printable_url(url)} does not exist.") from None


def _copy(system: Any, path: str, *, file: IO[bytes], size: int, sha256: str | None) -> None:
    file.seek(0)
    digest, count = hashlib.sha256(), 0
    with _stream(system, path, size=size) as stream:
        while chunk := stream.read(CHUNK_BYTES):
            count += len(chunk)
            if count > size:
                break
            digest.update(chunk)
            file.write(chunk)
    if count != size:
        raise OSError(f"{'more than ' if count > size else ''}{min(count, size):,} bytes received, {size:,} expected")
    if sha256 is not None and digest.hexdigest() != sha256:
        raise OSError("the content is not that of the index (SHA-256)")


def _open_system(url: str, options: Mapping[str, Any]) -> tuple[Any, str]:
    """Return the file system of a URL and the path in it."""
    import fsspec
    from fsspec.registry import known_implementations

    protocol = url.partition("://")[0].lower()
    if protocol not in PROTOCOLS or "::" in url:
        known = ", ".join(sorted(PROTOCOLS - {"memory"}))
        near = did_you_mean(protocol, PROTOCOLS)
        raise DataError(f"{printable_url(url)}: '{protocol}' is not supported.{near} Supported: {known}.")
    try:
        system, path = fsspec.url_to_fs(url, **_http_timeouts(protocol), **options)
    except ImportError as error:
        package = known_implementations[protocol]["class"].partition(".")[0]
        raise DataError(
            f"{protocol}:// needs a package that is not installed ({error}). Run: pip install {package}"
        ) from None
    return system, path


def _http_timeouts(protocol: str) -> dict[str, Any]:
    """Replace aiohttp's limit of 5 minutes for a file, too short for a shard, by a limit for each pause."""
    if protocol not in ("http", "https"):
        return {}
    import aiohttp

    return {"client_kwargs": {"timeout": aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=_SILENCE_S)}}


def _stream(system: Any, path: str, *, size: int | None) -> AbstractContextManager[IO[bytes]]:
    """Open a file for reading from beginning to end; by HTTP in one request, not in one per block."""
    is_http = "http" in (system.protocol if isinstance(system.protocol, tuple | list) else (system.protocol,))
    options = {"block_size": 0, "size": size or 1} if is_http else {}
    stream: AbstractContextManager[IO[bytes]] = system.open(path, "rb", **options)
    return stream


def _with_retries(url: str, task: Callable[[], T]) -> T:
    """Run `task`, again after a pause when the network fails.

    Raises:
        DataError: It keeps failing.
        FileNotFoundError: There is no such file.
        OSError: The local disk is full.
    """
    for tries, wait_s in enumerate((*WAITS_S, None), start=1):
        try:
            return task()
        except FileNotFoundError:
            raise
        except Exception as error:  # every protocol raises its own
            if getattr(error, "errno", None) in FULL:  # the local disk, not the network
                raise
            if wait_s is None or not _is_temporary(error):
                raise DataError(_explain(url, error, tries=tries)) from error
            time.sleep(wait_s)
    raise AssertionError("the last try returns or raises")


def _is_temporary(error: Exception) -> bool:
    status = getattr(error, "status", None)
    if isinstance(status, int) and 400 <= status < 500:
        return status in _RETRY_STATUS
    return not isinstance(error, PermissionError | IsADirectoryError | TypeError | ValueError | ImportError)


def _explain(url: str, error: Exception, *, tries: int) -> str:
    reason = printable_url(" ".join(str(error).split()) or type(error).__name__)
    times = f" after {tries} tries" if tries > 1 else ""
    return (
        f"{printable_url(url)} could not be fetched{times}: {reason}. Check that it exists and is accessible; the "
        "same command resumes where this one stopped."
    )
