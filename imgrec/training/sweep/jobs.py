"""Jobs of a sweep as processes that are started, watched and stopped together."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

__all__ = ["Ended", "Job", "run_jobs"]

_POLL_S = 0.05


@dataclass(frozen=True)
class Job:
    """A command to run."""

    number: int
    command: tuple[str, ...]
    folder: Path


@dataclass(frozen=True)
class Ended:
    """A job that has ended.

    Attributes:
        job: The job.
        exit_code: Of its process; negative for the signal that ended it.
        seconds: Duration.
        was_stopped: Whether the sweep stopped it, on a signal to the sweep.
    """

    job: Job
    exit_code: int
    seconds: float
    was_stopped: bool


class _Running:
    """A job's process.

    It is in a process group of its own: Ctrl-C at the terminal reaches the sweep alone, which passes it on once. (A
    second signal would end the run without saving.)
    """

    def __init__(self, job: Job, *, is_alone: bool) -> None:
        self.job = job
        self.was_stopped = False
        self.started = time.monotonic()
        # Unbuffered, so that the output of a job is seen at once.
        environment = {name: value for name, value in os.environ.items() if name != "HYDRA_FULL_ERROR"}
        environment["PYTHONUNBUFFERED"] = "1"
        output = None if is_alone else subprocess.PIPE
        error = None if is_alone else subprocess.STDOUT
        self.process = subprocess.Popen(
            job.command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=error, process_group=0
        )
        self.reader: threading.Thread | None = None
        if self.process.stdout is not None:
            self.reader = threading.Thread(target=_copy_lines, args=(self.process.stdout, job.number), daemon=True)
            self.reader.start()

    def ended(self) -> Ended | None:
        """Return the ended job, or None while it runs."""
        code = self.process.poll()
        if code is None:
            return None
        if self.reader is not None:
            self.reader.join(timeout=5)  # a process that the job left behind may hold the pipe open
        return Ended(self.job, code, time.monotonic() - self.started, self.was_stopped)

    def stop(self, number: int) -> None:
        """Send a signal to the job and to the processes that it started."""
        self.was_stopped = True
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


def run_jobs(
    jobs: Sequence[Job], *, at_once: int, on_start: Callable[[Job], None], on_end: Callable[[Ended], None]
) -> None:
    """Run all jobs, `at_once` of them at a time, also when some of them fail.

    A single job at a time writes to our own output; lines of several are marked with the number of the job. On SIGINT
    or SIGTERM the running jobs get the same signal; a second one kills them.

    Args:
        jobs: The jobs.
        at_once: Number of processes at a time.
        on_start: Called with each job before it starts.
        on_end: Called with each job that has ended.

    Raises:
        KeyboardInterrupt: After SIGINT, when all jobs have ended.
        SystemExit: With 143, after SIGTERM, when all jobs have ended.
    """
    waiting = list(jobs)
    running: list[_Running] = []
    with _terminable():
        try:
            while waiting or running:
                while waiting and len(running) < at_once:
                    job = waiting.pop(0)
                    on_start(job)
                    running.append(_Running(job, is_alone=at_once == 1))
                _collect(running, on_end)
                time.sleep(_POLL_S)
        except (KeyboardInterrupt, SystemExit) as stop:
            _stop(running, on_end, number=signal.SIGINT if isinstance(stop, KeyboardInterrupt) else signal.SIGTERM)
            raise


def _collect(running: list[_Running], on_end: Callable[[Ended], None]) -> None:
    for entry in list(running):
        ended = entry.ended()
        if ended is not None:
            running.remove(entry)
            on_end(ended)


def _stop(running: list[_Running], on_end: Callable[[Ended], None], *, number: int) -> None:
    """Pass the signal on and wait; kill at the next one."""
    for entry in running:
        entry.stop(number)
    try:
        while running:
            _collect(running, on_end)
            time.sleep(_POLL_S)
    except (KeyboardInterrupt, SystemExit):
        for entry in running:
            entry.stop(signal.SIGKILL)
            entry.process.wait()
        _collect(running, on_end)


@contextmanager
def _terminable() -> Iterator[None]:
    """Turn SIGTERM into SystemExit(143), so that the jobs are stopped first."""

    def stop(number: int, frame: FrameType | None) -> None:
        del frame
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _copy_lines(stream: IO[bytes], number: int) -> None:
    """Copy a job's output to ours, each line marked with its number."""
    with stream:
        for line in stream:
            sys.stdout.write(f"[job {number}] {line.decode(errors='replace').rstrip()}\n")
            sys.stdout.flush()
