"""The lock of a run folder: one run at a time, free again when the process is gone."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from imgrec.core.files import atomic_write as durable
from imgrec.core.files import run_folder
from imgrec.core.files.run_folder import claim_run_folder, lock_run_folder
from imgrec.errors import RunFolderError

HOLD = """
import os, sys, time
from pathlib import Path
from imgrec.core.files.run_folder import lock_run_folder
lock = lock_run_folder(Path(sys.argv[1]))
child = os.fork() if "fork" in sys.argv else None
if child != 0:
    print(child or 0, flush=True)
time.sleep(60)
"""


@contextmanager
def another_run(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Start a process that holds the folder; give it and the number of its forked child, or 0."""
    run = subprocess.Popen([sys.executable, "-c", HOLD, str(folder), *options], stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    child = int(run.stdout.readline())
    try:
        yield run, child
    finally:
        run.kill()
        run.wait()
        run.stdout.close()
        if child:
            os.kill(child, signal.SIGKILL)


def test_second_run_is_refused_and_told_who_has_the_folder(tmp_path: Path) -> None:
    with (
        another_run(tmp_path) as (run, _),
        pytest.raises(
            RunFolderError, match=rf"in use by process {run.pid} on {socket.gethostname()}, since 20.*run_dir="
        ),
    ):
        lock_run_folder(tmp_path)


def test_first_run_is_unharmed_by_the_second(tmp_path: Path) -> None:
    with lock_run_folder(tmp_path):
        for _ in range(2):
            with pytest.raises(RunFolderError, match=f"process {os.getpid()} "):
                lock_run_folder(tmp_path)


def test_lock_of_a_killed_run_is_free_at_once(tmp_path: Path) -> None:
    with another_run(tmp_path) as (run, _):
        run.kill()
        run.wait()
        assert json.loads((tmp_path / ".lock").read_text())["pid"] == run.pid
        lock_run_folder(tmp_path).release()


def test_worker_that_outlives_a_killed_run_does_not_keep_the_folder(tmp_path: Path) -> None:
    with another_run(tmp_path, "fork") as (run, child):
        time.sleep(0.1)  # the child runs
        run.kill()
        run.wait()
        os.kill(child, 0)  # raises if it is gone
        lock_run_folder(tmp_path).release()


def test_end_of_a_forked_child_does_not_free_the_folder(tmp_path: Path) -> None:
    script = HOLD.replace("time.sleep(60)", "sys.exit(lock.release()) if child == 0 else os.waitpid(child, 0)")
    script += "\nprint(flush=True)\ntime.sleep(60)\n"
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path), "fork"], stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        run.stdout.readline()
        run.stdout.readline()
        with pytest.raises(RunFolderError, match="in use by process"):
            lock_run_folder(tmp_path)
        run.kill()


def test_released_folder_can_be_locked_again(tmp_path: Path) -> None:
    lock = lock_run_folder(tmp_path)
    lock.release()
    lock.release()
    with lock_run_folder(tmp_path):
        pass
    assert (tmp_path / ".lock").read_text() == ""


def test_error_in_the_block_frees_the_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mine"), lock_run_folder(tmp_path):
        raise ValueError("mine")
    lock_run_folder(tmp_path).release()


def test_missing_folder_is_made(tmp_path: Path) -> None:
    with lock_run_folder(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()


def test_holder_that_has_not_written_its_name_yet_is_another_process(tmp_path: Path) -> None:
    with lock_run_folder(tmp_path):
        (tmp_path / ".lock").write_text("{")
        with pytest.raises(RunFolderError, match="in use by another process"):
            lock_run_folder(tmp_path)


def test_read_only_folder_is_an_error_that_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, flags: int, mode: int) -> int:
        raise OSError(30, os.strerror(30), str(path))

    monkeypatch.setattr(run_folder.os, "open", refuse)
    with pytest.raises(RunFolderError, match=r"Cannot write .*\.lock: Read-only file system"):
        lock_run_folder(tmp_path)


def test_file_in_place_of_the_folder_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("x")
    with pytest.raises(RunFolderError, match=r"Cannot write .*run"):
        lock_run_folder(tmp_path / "run")


def test_file_system_without_locks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(descriptor: int) -> bool:
        raise OSError(37, os.strerror(37))

    monkeypatch.setattr(run_folder, "try_lock", no_locks)
    with pytest.warns(UserWarning, match="cannot lock files.*will not notice a second run"):
        lock_run_folder(tmp_path).release()


def test_claim_sweeps_what_killed_runs_left(tmp_path: Path) -> None:
    (tmp_path / ".last.ckpt.4711-0.part").write_text("half")
    with claim_run_folder(tmp_path):
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_claim_without_space_frees_the_folder_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")(10, 10, 0)
    monkeypatch.setattr(durable.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(RunFolderError, match="are needed"):
        claim_run_folder(tmp_path, needed_bytes=5)
    claim_run_folder(tmp_path).release()
