"""Output folders that are built beside their place and moved there when complete."""

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

    Args:
        output: The folder.
        marks: Names of files that identify an earlier output; nothing else is ever overwritten.
        overwrite: Whether an earlier output may be replaced.

    Raises:
        DataError: `output` exists and may not be replaced.
    """
    if not output.exists() and not output.is_symlink():
        return
    if not output.is_dir() or output.is_symlink():
        raise DataError(f"--output {output} exists and is no folder. Choose another.")
    if not any(output.iterdir()):
        return
    is_ours = any((output / mark).is_file() for mark in marks)
    if not is_ours:
        raise DataError(f"--output {output} has other content. Choose a folder that is empty or does not exist.")
    if not overwrite:
        raise DataError(f"--output {output} has prepared data already. Replace it with --overwrite.")


def check_room(output: Path, needed: int) -> None:
    """Check that the disk of `output` has `needed` bytes free.

    Raises:
        DataError: It has not.
    """
    parent = next(folder for folder in output.absolute().parents if folder.is_dir())
    free = shutil.disk_usage(parent).free
    if needed > free:
        raise DataError(
            f"About {needed / 1e9:,.1f} GB are needed, but the disk of {output} has {free / 1e9:,.1f} GB free. Free "
            "some space, choose a smaller --side, or another disk: --output DIR."
        )


@contextmanager
def new_folder(output: Path) -> Iterator[Path]:
    """Yield a hidden, empty folder beside `output`, which is renamed to `output` at the end of the block.

    Remains of an interrupted process are removed first. On an error the folder is removed, and `output` is unchanged.

    Raises:
        DataError: Another process is writing it, or the disk is full or not writable.
    """
    part = output.parent / f".{output.name}.part"
    try:
        part.mkdir(parents=True, exist_ok=True)
        with (part / _LOCK).open("wb") as lock:
            if not try_lock(lock.fileno()):
                raise DataError(
                    f"Another process is preparing {output} ({part}). Wait for it, or choose another folder."
                )
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
            f"--output {output} cannot be written: {reason}. What was there before is unchanged."
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
    """Rename `part` to `output`; an earlier output is moved aside first and deleted last."""
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
    if os.name == "nt":  # cannot sync folders
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
