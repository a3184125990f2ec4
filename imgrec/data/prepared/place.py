"""Where a folder of prepared data comes to be: built beside its place, and moved there when it is whole."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imgrec.core.files.atomic_write import FULL
from imgrec.core.files.file_lock import try_lock
from imgrec.errors import DataError

__all__ = ["check_output", "check_room", "new_folder"]

_LOCK = "lock"


def check_output(output: Path, *, marks: tuple[str, ...], overwrite: bool) -> None:
    """Check that a folder can be made at `output`.

    marks: names of files by which a folder is known to be an earlier one of these; nothing else is ever overwritten.
    Raises: DataError: something is there.
    """
    if not output.exists() and not output.is_symlink():
        return
    if not output.is_dir() or output.is_symlink():
        raise DataError(f"--output {output} is there, and is no folder. Name another.")
    if not any(output.iterdir()):
        return
    is_ours = any((output / mark).is_file() for mark in marks)
    if not is_ours:
        raise DataError(f"--output {output} holds other things. Name a folder that is empty, or not there yet.")
    if not overwrite:
        raise DataError(f"--output {output} holds prepared data already. --overwrite makes it anew.")


def check_room(output: Path, needed: int) -> None:
    """Check that the disk of `output` has `needed` bytes free. Raises: DataError."""
    parent = next(folder for folder in output.absolute().parents if folder.is_dir())
    free = shutil.disk_usage(parent).free
    if needed > free:
        raise DataError(
            f"About {needed / 1e9:,.1f} GB are needed, but the disk of {output} has {free / 1e9:,.1f} GB free. Free "
            "some space, choose a smaller --side, or another disk: --output DIR."
        )


@contextmanager
def new_folder(output: Path) -> Iterator[Path]:
    """Give a hidden, empty folder beside `output`, which becomes `output` when the block ends without an error.

    What an interrupted process left there is removed first; on an error nothing stays, and `output` is as it was.
    Raises: DataError: another process is at it, or the disk is full, read-only or closed to us.
    """
    part = output.parent / f".{output.name}.part"
    try:
        part.mkdir(parents=True, exist_ok=True)
        with (part / _LOCK).open("wb") as lock:
            if not try_lock(lock.fileno()):
                raise DataError(f"Another process is preparing {output} ({part}). Wait for it, or name another folder.")
            try:
                _clear(part)
                yield part
                _put_in_place(part, output)
            except BaseException:
                shutil.rmtree(part, ignore_errors=True)
                raise
    except OSError as error:
        reason = FULL.get(error.errno or 0) or error.strerror
        if error.filename is not None and not str(error.filename).startswith(str(part)):
            raise
        raise DataError(
            f"--output {output} cannot be written: {reason}. What was there before is untouched."
        ) from error


def _clear(part: Path) -> None:
    for entry in part.iterdir():
        if entry.name == _LOCK:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _put_in_place(part: Path, output: Path) -> None:
    """Rename `part` to `output`; what is there steps aside first, and is deleted last."""
    old = output.parent / f".{output.name}.old"
    shutil.rmtree(old, ignore_errors=True)
    _sync(part)
    if output.exists():
        output.rename(old)
    (part / _LOCK).unlink()
    part.rename(output)
    _sync(output.parent)
    shutil.rmtree(old, ignore_errors=True)


def _sync(folder: Path) -> None:
    if os.name == "nt":  # knows no such thing
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
