"""A pool of worker processes, each of which may crash, hang or be killed at the cost of one item."""

import os
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

from imgrec.core.system.hardware import num_processors
from imgrec.core.system.worker_process import READY
from imgrec.errors import ImgrecError

__all__ = ["Lost", "default_workers", "run_in_workers"]

CHUNK = 8  # items per message: a round trip costs more than a small image
START_S = 120.0  # a Python start on a busy machine with cold disks


@dataclass(frozen=True)
class Lost:
    """In place of the result of an item that cost a worker: `code` is `crashed` or `timeout`."""

    code: str
    detail: str


def default_workers() -> int:
    """Return the number of processors that this process may use."""
    return num_processors()


def run_in_workers(
    task: Callable[[Any], Any], items: Iterable[tuple[int, Any]], *, workers: int, timeout_s: float
) -> Iterator[tuple[int, Any]]:
    """Apply a function to items in worker processes.

    Each worker is a fresh Python, not a fork: a fork would copy the locks of threads that it does not have, and
    `multiprocessing` would run a caller's script again. A worker that dies is replaced. Its item is tried once more,
    since something else may have killed the worker; the second time its result is `Lost`.

    Args:
        task: A function at the top of a module; workers import it by name.
        items: Pairs (key, item).
        workers: Number of processes.
        timeout_s: Seconds for one item; then its worker is killed and its result is `Lost`.

    Yields:
        (key, result), in the order in which they are done.

    Raises:
        ImgrecError: A worker cannot start.
    """
    pool = _Pool(task, deque(), iter(items), timeout_s)
    try:
        yield from pool.run(workers)
    finally:
        for worker in pool.workers:
            worker.stop()


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    connection: Connection
    deadline: float
    is_ready: bool = False
    pending: deque[tuple[int, Any]] = field(default_factory=deque)

    def stop(self) -> int:
        """End the process, and return its exit code: minus the signal that ended it."""
        self.connection.close()
        code = self.process.poll()
        self.process.kill()
        self.process.wait()
        return self.process.returncode if code is None else code


@dataclass
class _Pool:
    task: Callable[[Any], Any]
    again: deque[tuple[int, Any]]  # items whose worker died over an earlier one, or over them
    items: Iterator[tuple[int, Any]]
    timeout_s: float
    workers: list[_Worker] = field(default_factory=list)
    died_once: set[int] = field(default_factory=set)

    def run(self, workers: int) -> Iterator[tuple[int, Any]]:
        while self._feed(workers):
            limit = min(worker.deadline for worker in self.workers) - time.monotonic()
            ready = wait([worker.connection for worker in self.workers], timeout=max(limit, 0))
            for worker in list(self.workers):
                if worker.connection in ready:
                    yield from self._receive(worker)
                elif time.monotonic() > worker.deadline:
                    yield from self._lose(worker, "timeout")

    def _feed(self, workers: int) -> bool:
        """Give items to idle workers, start and stop workers as needed; return whether any are busy."""
        for worker in [worker for worker in self.workers if worker.is_ready and not worker.pending]:
            worker.pending.extend(self._next_items())
            if worker.pending:
                self._send(worker)
            else:
                self.workers.remove(worker)
                worker.stop()
        while len(self.workers) < workers and self._has_more():
            self.workers.append(self._start())
        return bool(self.workers)

    def _has_more(self) -> bool:
        if not self.again:
            self.again.extend(self._take(1))
        return bool(self.again)

    def _next_items(self) -> list[tuple[int, Any]]:
        if self.again:  # one at a time: one of them may have killed its worker
            return [self.again.popleft()]
        return self._take(CHUNK)

    def _take(self, count: int) -> list[tuple[int, Any]]:
        return [item for _, item in zip(range(count), self.items, strict=False)]

    def _send(self, worker: _Worker) -> None:
        worker.deadline = time.monotonic() + self.timeout_s
        with suppress(ConnectionError):  # it has died: `_receive` will notice
            worker.connection.send(list(worker.pending))

    def _receive(self, worker: _Worker) -> Iterator[tuple[int, Any]]:
        try:
            while worker.connection.poll():
                message = worker.connection.recv()
                worker.deadline = time.monotonic() + self.timeout_s
                if message == READY:
                    worker.is_ready = True
                    continue
                key, result, error = message
                worker.pending.popleft()
                yield key, Lost("crashed", error) if error else result
        except (EOFError, ConnectionError):
            yield from self._lose(worker, "crashed")

    def _lose(self, worker: _Worker, code: str) -> Iterator[tuple[int, Any]]:
        self.workers.remove(worker)
        exit_code = worker.stop()
        if not worker.is_ready:
            raise ImgrecError(f"A worker process could not start (exit code {exit_code}). Its message is above.")
        if not worker.pending:
            return
        key, item = worker.pending.popleft()
        self.again.extend(worker.pending)
        if code == "timeout":
            yield key, Lost(code, f"not decoded within {self.timeout_s:g} s")
        elif key in self.died_once:
            yield key, Lost(code, f"the process that decoded it died twice (exit code {exit_code})")
        else:
            self.died_once.add(key)
            self.again.append((key, item))

    def _start(self) -> _Worker:
        ours, theirs = socket.socketpair()
        number = theirs.fileno()
        module, function = self.task.__module__, self.task.__qualname__
        command = [
            sys.executable,
            "-m",
            "imgrec.core.system.worker_process",
            str(number),
            module,
            function,
            str(self.timeout_s),
        ]
        path = os.pathsep.join(place or os.getcwd() for place in sys.path)  # noqa: PTH109
        threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # the processes share the processors
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[number],
            env={**os.environ, **threads, "PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C is for the parent, which ends its workers itself
        )
        theirs.close()
        return _Worker(process, Connection(ours.detach()), time.monotonic() + START_S)
