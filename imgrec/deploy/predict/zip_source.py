"""`ZipSource`, images in a zip archive: read into memory one at a time, never unpacked to disk."""

import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from imgrec.data.images.formats import FORMAT_OF_SUFFIX, HEAD_BYTES, format_of
from imgrec.data.images.limits import MAX_FILE_BYTES
from imgrec.data.sources.walk import is_hidden
from imgrec.deploy.predict.files import identify
from imgrec.deploy.predict.item import Item, bad_item
from imgrec.errors import ImageError

if TYPE_CHECKING:
    from imgrec.data.images.lazy_image import LazyImage

__all__ = ["ZipSource"]

MAX_RATIO, SMALL_BYTES = 100, 16 << 20  # a member that expands more than this, to more than SMALL_BYTES, is refused
_ENCRYPTED = 1  # of the flags of a member


class ZipSource:
    """The images of an archive, sorted by name; hidden members and those that are not images are skipped.

    A member that is encrypted, expands excessively, or has a name that leads out of the archive gives an item with an
    error. So does an archive that cannot be read, or whose members overlap.

    Attributes:
        skipped: Names by reason.
    """

    has_time = False

    def __init__(self, path: str) -> None:
        self._path = path
        self._problem: tuple[str, str] | None = None
        self._members: list[zipfile.ZipInfo] = []
        self.skipped: dict[str, list[str]] = {}
        try:
            self._archive = zipfile.ZipFile(path)  # not closed: threads read from it until the end
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            self._problem = ("unreadable" if isinstance(error, OSError) else "damaged", f"not a zip archive: {error}")
            return
        members = sorted(self._archive.infolist(), key=lambda member: member.filename)
        # Members that share their compressed bytes make a small file that never ends (Fifield, WOOT 2019).
        if sum(member.compress_size for member in members) > Path(path).stat().st_size:
            self._problem = ("zip_bomb", "its members overlap")
            return
        self._members = [member for member in members if not member.is_dir() and self._is_wanted(member)]

    @property
    def expected(self) -> int:
        """Number of items."""
        return 1 if self._problem else len(self._members)

    def items(self) -> Iterator[Item]:
        """Yield the members."""
        if self._problem:
            yield bad_item(self._path, *self._problem)
        for member in self._members:
            name = f"{self._path}#{member.filename}"
            problem = _problem_of(member)
            yield bad_item(name, *problem) if problem else Item(name, partial(self._open, name, member))

    def identity(self) -> Iterator[str]:
        """Yield path, size and modification time of the archive."""
        yield identify(self._path)

    def _is_wanted(self, member: zipfile.ZipInfo) -> bool:
        parts = member.filename.split("/")
        if any(is_hidden(part) for part in parts if part not in (".", "..")):
            self.skipped.setdefault("hidden", []).append(member.filename)
            return False
        has_suffix = Path(member.filename).suffix.lower() in FORMAT_OF_SUFFIX
        if has_suffix or _problem_of(member) or self._starts_as_image(member):
            return True
        self.skipped.setdefault("not an image that imgrec reads", []).append(member.filename)
        return False

    def _starts_as_image(self, member: zipfile.ZipInfo) -> bool:
        try:
            with self._archive.open(member) as file:
                return format_of(file.read(HEAD_BYTES)) is not None
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError):
            return False

    def _open(self, name: str, member: zipfile.ZipInfo) -> "LazyImage":
        from imgrec.data.images.lazy_image import image_from_bytes

        try:
            data = self._archive.read(member)
        except NotImplementedError as error:
            raise ImageError(
                name, "unsupported", f"compressed in a way that is not supported here ({error})"
            ) from error
        # The errors of damaged members are not documented: zlib and lzma have their own.
        except Exception as error:
            raise ImageError(name, "damaged", f"cannot be unpacked ({error})") from error
        return image_from_bytes(data, name=name)


def _problem_of(member: zipfile.ZipInfo) -> tuple[str, str] | None:
    """Return error code and detail of a member that is refused unread, or None."""
    parts = member.filename.replace("\\", "/").split("/")
    if parts[0] == "" or parts[0][1:2] == ":" or ".." in parts:
        return "unsafe_name", "a name that leads out of the archive"
    if member.flag_bits & _ENCRYPTED:
        return "encrypted", "encrypted; unpack the archive with its password first"
    if member.file_size > MAX_FILE_BYTES:
        return "too_large", f"{member.file_size:,} bytes unpacked; at most {MAX_FILE_BYTES:,}"
    if member.file_size > max(SMALL_BYTES, MAX_RATIO * member.compress_size):
        return "zip_bomb", f"{member.compress_size:,} bytes that become {member.file_size:,}"
    return None
