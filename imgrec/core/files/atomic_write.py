"""Atomic writes: a file is complete or absent, at whatever moment the process or the machine stops.

A temporary file beside the target takes the bytes, is flushed to the disk (fsync), and is renamed over the target; then
the folder is flushed too. A reader sees the old file or the new one, never a part. A killed process leaves at most its
temporary file, `.NAME.PID-N.part`, which `sweep_parts` removes.
"""

import errno
import itertools
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

from imgrec.core.files.file_lock import try_lock
from imgrec.errors import RunFolderError

__all__ = [
    "FULL",
    "check_free_space",
    "durable_link",
    "durable_write",
    "folder_errors",
    "sweep_parts",
    "write_bytes",
    "write_text",
]

_PART = re.compile(r"\..+\.\d+-\d+\.part")
_PART_NUMBERS = itertools.count()
_NO_SYNC_HERE = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EACCES, errno.EPERM, errno.EISDIR}
# Error numbers when a file cannot grow, and their text in messages.
FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file is larger than the limit for files here (ulimit -f)",
}
_CLOSED = {errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST}
_CLOSED |= {errno.ENAMETOOLONG, errno.ELOOP}


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path`, completely or not at all.

    Raises:
        RunFolderError: As in `durable_write`.
    """
    with durable_write(path) as file:
        file.write(data)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8 with line ends as they are, completely or not at all.

    Raises:
        RunFolderError: As in `durable_write`.
    """
    write_bytes(path, text.encode("utf-8"))


@contextmanager
def durable_write(path: Path, *, size: int = 0, keep_as: Path | None = None) -> Iterator[BinaryIO]:
    """Open a binary file, for writing and reading back, that becomes `path` when the block ends without an error.

    The folder is created if it is missing. A link at `path` is replaced, not followed. On any error, including a
    keyboard interrupt, the temporary file is removed and the file at `path` stays, bit for bit.

    Args:
        path: The file to write.
        size: Number of bytes to come, if known; the free space is checked before the first is written.
        keep_as: A name in the same folder that the old `path` gets. At every moment one complete file has either name.

    Yields:
        The open temporary file.

    Raises:
        RunFolderError: The disk is full or read-only, there is no permission, or `path` is not a regular file.
    """
    assert keep_as is None or keep_as.parent == path.parent
    with folder_errors(path, needed=size):
        path.parent.mkdir(parents=True, exist_ok=True)
        _refuse_special(path)
        check_free_space(path.parent, size)
        part, file = _open_part(path)
        try:
            with file:
                yield file
                file.flush()
                _sync(file.fileno())
            _put_in_place(part, path=path, keep_as=keep_as)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def durable_link(source: Path, path: Path, *, keep_as: Path | None = None) -> None:
    """Make `path` a second name of the file `source`, or a copy where the file system has no hard links.

    Files by imgrec are replaced, never changed in place, so replacing one name leaves the other as it is.

    Args:
        source: An existing file.
        path: Its second name.
        keep_as: As in `durable_write`.

    Raises:
        RunFolderError: As in `durable_write`.
    """
    with folder_errors(path):
        _refuse_special(path)
        part = _part_path(path)
        try:
            os.link(source, part)
        except OSError:
            with source.open("rb") as old, durable_write(path, size=source.stat().st_size, keep_as=keep_as) as new:
                shutil.copyfileobj(old, new)
            return
        try:
            _put_in_place(part, path=path, keep_as=keep_as)
        finally:
            part.unlink(missing_ok=True)  # renaming one name of a file to another of its names leaves both


@contextmanager
def folder_errors(path: Path, *, needed: int = 0) -> Iterator[None]:
    """Turn an OSError from writing `path` into a RunFolderError that says what to do.

    An OSError that names another file passes as it is.

    Args:
        path: The file or folder.
        needed: Bytes to write, for the message; 0: unknown.

    Raises:
        RunFolderError: In place of the OSError.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _CLOSED.union(FULL) or not _is_about(path, error.filename):
            raise
        raise RunFolderError(_explain(error.errno, path=path, needed=needed)) from error


def check_free_space(folder: Path, needed: int) -> None:
    """Check that `folder` has `needed` bytes free; quotas are not seen.

    Raises:
        RunFolderError: It has fewer.
    """
    free = _free_bytes(folder)
    if free is not None and needed > free:
        raise RunFolderError(
            f"{folder} has {_megabytes(free)} free, but {_megabytes(needed)} are needed. "
            "Free some space, or give a folder on another disk: run_dir=PATH."
        )


def sweep_parts(folder: Path) -> list[Path]:
    """Remove the temporary files that dead processes left in `folder` and below; return their paths.

    A writer holds a lock on its temporary file, so one that is being written, by this process or another, stays. Where
    the file system has no locks, and on Windows, nothing is removed.
    """
    found = [Path(root, name) for root, _, names in os.walk(folder) for name in sorted(names) if _PART.fullmatch(name)]
    return [path for path in found if _remove_if_abandoned(path)]


def _refuse_special(path: Path) -> None:
    """Refuse what a rename would destroy: a device such as /dev/null, a pipe, a folder."""
    with suppress(FileNotFoundError):
        mode = path.lstat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
            raise RunFolderError(f"{path} exists and is not a regular file. Give another name.")


def _part_path(path: Path) -> Path:
    # File systems allow 255 bytes for a name; the rest is for the number of the process and the ending.
    stem = path.name.encode()[:200].decode(errors="ignore")
    return path.with_name(f".{stem}.{os.getpid()}-{next(_PART_NUMBERS)}.part")


def _open_part(path: Path) -> tuple[Path, BinaryIO]:
    """Open a new temporary file for `path`, locked so that `sweep_parts` does not remove it."""
    while True:
        part = _part_path(path)
        try:
            file = cast(BinaryIO, part.open("x+b"))
        except FileExistsError:  # left by a dead process with the same process number
            continue
        with suppress(OSError):  # a file system without locks, where `sweep_parts` removes nothing
            try_lock(file.fileno())
        if part.exists():  # else `sweep_parts` ran between the two calls and removed it
            return part, file
        file.close()


def _put_in_place(part: Path, *, path: Path, keep_as: Path | None) -> None:
    hold = _hold(path, keep_as=keep_as) if keep_as is not None and path.exists() else None
    try:
        part.replace(path)
        if hold is not None and keep_as is not None:
            # Only now, with the new file in place: should the old one be damaged, `keep_as` was the good one until now.
            hold.replace(keep_as)
    finally:
        if hold is not None:
            hold.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _hold(path: Path, *, keep_as: Path) -> Path | None:
    """Give the file at `path` a second, temporary name; without hard links, rename it to `keep_as`."""
    hold = _part_path(path)
    try:
        os.link(path, hold)
    except OSError:
        path.replace(keep_as)
        return None
    return hold


def _sync(descriptor: int) -> None:
    """Flush a file or folder to the disk, where its file system can (some network ones cannot)."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC_HERE:
            raise


def _sync_folder(folder: Path) -> None:
    """Flush the names in `folder` to the disk; not possible on Windows or without permission to list it."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)


def _remove_if_abandoned(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return False
    try:
        if not try_lock(descriptor):
            return False
        path.unlink()  # under the lock: a writer that has just made the file sees that it is gone
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _free_bytes(folder: Path) -> int | None:
    """Return the free bytes in `folder`, or None where the file system does not report them."""
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return None
    return usage.free if usage.total else None


def _is_about(path: Path, named: object) -> bool:
    """Return whether an error that names the file `named` (None: no name, as from a write) is about `path`."""
    if not isinstance(named, str):
        return named is None
    return Path(named) == path or Path(named) in path.parents or _PART.fullmatch(Path(named).name) is not None


def _explain(number: int, *, path: Path, needed: int) -> str:
    if number in _CLOSED:
        advice = "Check the path and its permissions, or give another (of a run: run_dir=PATH)."
        return f"Cannot write {path}: {os.strerror(number)}. {advice}"
    free = _free_bytes(path.parent)
    room = [f"{_megabytes(needed)} needed"] if needed else []
    room += [f"{_megabytes(free)} free"] if free is not None else []
    numbers = f" ({', '.join(room)})" if room else ""
    return (
        f"Cannot write {path}: {FULL[number]}{numbers}. The previous file is unchanged. "
        "Free some space, or give a path on another disk (of a run: run_dir=PATH)."
    )


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
