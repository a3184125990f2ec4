"""The lock of a run folder: one run writes it at a time."""

import json
import os
import socket
import warnings
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from imgrec.core.files.atomic_write import check_free_space, folder_errors, sweep_parts
from imgrec.core.files.file_lock import try_lock
from imgrec.errors import RunFolderError

__all__ = ["LOCK_NAME", "RunFolderLock", "claim_on_first_rank", "claim_run_folder", "lock_run_folder"]

LOCK_NAME = ".lock"
_held: set["RunFolderLock"] = set()
_is_fork_watched = False


class RunFolderLock:
    """The lock of one run folder, held until `release`, the end of a `with` block, or the end of the process.

    The operating system holds the lock, on `.lock` in the folder, and releases it when the process ends in any way: the
    lock of a dead process never has to be removed. The file stays; it names the process in messages to others. A
    forked child (a worker of a loader) does not inherit the lock, so a worker that outlives a killed run does not keep
    the folder. The ranks of a distributed run share one folder: only rank 0 locks it.

    Where the file system has no locks, a warning says so and the run continues.

    Raises:
        RunFolderError: The folder is in use or cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / LOCK_NAME
        with folder_errors(path):
            folder.mkdir(parents=True, exist_ok=True)
            self._descriptor: int | None = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            self._take(path)
        except BaseException:
            os.close(self._descriptor)
            raise
        _watch_forks()
        _held.add(self)

    def release(self) -> None:
        """Release the folder. A second call does nothing."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            self.close()

    def close(self) -> None:
        """Close this process's copy of the lock file, so that a forked child leaves the lock to its parent."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None
        _held.discard(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _take(self, path: Path) -> None:
        assert self._descriptor is not None
        try:
            is_ours = try_lock(self._descriptor)
        except OSError as error:
            warnings.warn(
                f"The file system of {self.folder} cannot lock files ({error.strerror}): imgrec will not notice a "
                "second run in this folder. Make sure that there is none, or give a folder on a local disk.",
                stacklevel=4,
            )
            is_ours = True
        if not is_ours:
            raise RunFolderError(
                f"{self.folder} is in use by {_holder(path)}. "
                "Wait for it, stop it, or give another folder: run_dir=PATH."
            )
        record = {"pid": os.getpid(), "host": socket.gethostname(), "started": _now()}
        with folder_errors(path):
            os.ftruncate(self._descriptor, 0)
            os.write(self._descriptor, (json.dumps(record) + "\n").encode())


def lock_run_folder(folder: Path) -> RunFolderLock:
    """Lock `folder` for this process, creating it if it is missing.

    Raises:
        RunFolderError: Another process has it, which is named, or it cannot be written.
    """
    return RunFolderLock(folder)


def claim_run_folder(folder: Path, *, needed_bytes: int = 0) -> RunFolderLock:
    """Lock `folder`, remove the temporary files of killed runs, and check that `needed_bytes` are free.

    Raises:
        RunFolderError: As in `lock_run_folder`, or too little space.
    """
    lock = lock_run_folder(folder)
    try:
        sweep_parts(folder)
        check_free_space(folder, needed_bytes)
    except BaseException:
        lock.release()
        raise
    return lock


def claim_on_first_rank(folder: Path) -> AbstractContextManager[object]:
    """Claim the folder in rank 0 of a distributed run; the other ranks share it."""
    ranks = [os.environ.get(name, "0") for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")]
    return claim_run_folder(folder) if set(ranks) == {"0"} else nullcontext()


def _holder(path: Path) -> str:
    """Return who holds the lock at `path`, if its file has been written already."""
    try:
        record = json.loads(path.read_text())
        return f"process {record['pid']} on {record['host']}, since {record['started']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _watch_forks() -> None:
    """Have forked children close their copies of the locks; registered at the first lock, not at import."""
    global _is_fork_watched
    if not _is_fork_watched and hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_close_all)
    _is_fork_watched = True


def _close_all() -> None:
    for lock in list(_held):
        lock.close()
