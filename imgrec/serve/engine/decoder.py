"""Images decoded in other processes, each of which may hang, crash or be killed at the cost of one image."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imgrec.data.images.limits import MAX_PIXELS
from imgrec.data.samples import UInt8Array
from imgrec.errors import ImgrecError
from imgrec.serve.engine.decode_worker import ANSWER, CODES, OK, READY, REQUEST
from imgrec.serve.http.refusals import Refusal

__all__ = ["DecodeLimits", "DecodePool"]

_START_S = 60.0  # a Python start on a busy machine with cold discs
_CHANNELS = 3


@dataclass(frozen=True)
class DecodeLimits:
    """What one image may cost: seconds, megabytes beyond the process itself, and pixels that its header may claim."""

    timeout_s: float = 10.0
    memory_mb: int = 1500
    max_pixels: int = MAX_PIXELS


@dataclass(eq=False)
class _Worker:
    process: "subprocess.Popen[bytes]"
    socket: socket.socket
    reader: asyncio.StreamReader | None = None
    writer: asyncio.StreamWriter | None = None

    async def connect(self) -> None:
        """Wait until the process is ready. Raises: ImgrecError: it cannot start."""
        self.reader, self.writer = await asyncio.open_connection(sock=self.socket, limit=1 << 20)
        try:
            async with asyncio.timeout(_START_S):
                await self.reader.readexactly(len(READY))
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
            self.kill()
            raise ImgrecError("A decoding process could not start. What it said stands above.") from None

    async def ask(self, spec: bytes, data: bytes) -> UInt8Array | str:
        """Return the pixels, or the code of what is wrong."""
        assert self.reader is not None and self.writer is not None
        self.writer.write(REQUEST.pack(len(spec), len(data)) + spec)
        self.writer.write(data)
        await self.writer.drain()
        status, height, width = ANSWER.unpack(await self.reader.readexactly(ANSWER.size))
        if status != OK:
            return CODES[status]
        content = await self.reader.readexactly(height * width * _CHANNELS)
        return np.frombuffer(content, dtype=np.uint8).reshape(height, width, _CHANNELS)

    def kill(self) -> None:
        """End the process and close what leads to it."""
        self.process.kill()
        if self.writer is not None:
            self.writer.close()
        else:
            self.socket.close()
        self.process.wait()


class DecodePool:
    """A fixed number of processes, each replaced when it is lost.

    One is started by `launch`, so that a server is soon ready; the others once it is.

    command: what to start instead of `imgrec.serve.engine.decode_worker`, up to the arguments.
    """

    def __init__(
        self,
        *,
        workers: int,
        limits: DecodeLimits = DecodeLimits(),
        command: Sequence[str] = (sys.executable, "-P", "-s", "-m", "imgrec.serve.engine.decode_worker"),
    ) -> None:
        self.limits = limits
        self.restarts = 0
        self._count = workers
        self._command = list(command)
        self._workers: set[_Worker] = set()
        self._idle: asyncio.LifoQueue[_Worker] = asyncio.LifoQueue()
        self._adding: set[asyncio.Task[None]] = set()
        self._is_closed = False

    def launch(self) -> None:
        """Start the first process and do not wait for it; needs no event loop."""
        self._workers.add(self._start())

    async def connect(self) -> None:
        """Wait until the first process is ready, then start the others. Raises: ImgrecError: it cannot start."""
        (worker,) = self._workers
        await worker.connect()
        self._idle.put_nowait(worker)
        for _ in range(self._count - 1):
            self._add_soon()

    async def decode(self, data: bytes, spec: bytes) -> UInt8Array:
        """Return an image as the model receives it: uint8 (height, width, 3). spec: the `Preprocess` as JSON.

        A process that dies is replaced and its image tried once more, since something else may have killed it.
        Raises: Refusal: what is wrong with the image; `undecodable`: no process lived through it in time.
        """
        for _ in range(2):
            worker = await self._idle.get()
            try:
                async with asyncio.timeout(self.limits.timeout_s):
                    decoded = await worker.ask(spec, data)
            except TimeoutError:
                self._lose(worker)
                break
            except (asyncio.IncompleteReadError, ConnectionError):
                self._lose(worker)
                continue
            except BaseException:  # the client has gone: the process is in the middle of its image
                self._lose(worker)
                raise
            self._idle.put_nowait(worker)
            if isinstance(decoded, str):
                raise Refusal(decoded)
            return decoded
        raise Refusal("undecodable")

    async def close(self) -> None:
        """End all processes."""
        self._is_closed = True
        for task in list(self._adding):
            task.cancel()
        await asyncio.gather(*self._adding, return_exceptions=True)
        self.kill()

    def kill(self) -> None:
        """End all processes at once."""
        for worker in self._workers:
            worker.kill()
        self._workers.clear()

    @property
    def pids(self) -> list[int]:
        """The process ids, for those who watch them."""
        return [worker.process.pid for worker in self._workers]

    def _lose(self, worker: _Worker) -> None:
        self._workers.discard(worker)
        worker.kill()
        self.restarts += 1
        self._add_soon()

    def _add_soon(self) -> None:
        task = asyncio.get_running_loop().create_task(self._add())
        self._adding.add(task)
        task.add_done_callback(self._adding.discard)

    async def _add(self) -> None:
        """Start another process, however long it takes: without one the server would never decode again."""
        delay_s = 0.1
        while not self._is_closed:
            worker = self._start()
            self._workers.add(worker)
            try:
                await worker.connect()
            except ImgrecError:
                self._workers.discard(worker)
                await asyncio.sleep(delay_s)
                delay_s = min(2 * delay_s, 10.0)
                continue
            self._idle.put_nowait(worker)
            return

    def _start(self) -> _Worker:
        ours, theirs = socket.socketpair()
        with theirs:
            limits = self.limits
            numbers = [theirs.fileno(), limits.timeout_s, limits.memory_mb, limits.max_pixels]
            process = subprocess.Popen(
                [*self._command, *map(str, numbers)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=_environment(),
                start_new_session=True,  # Ctrl-C is for the server, which ends its processes in good order
            )
        ours.setblocking(False)
        return _Worker(process, ours)


def _environment() -> dict[str, str]:
    """Return the few variables that a decoding process needs: secrets of the server's own are not among them."""
    path = os.pathsep.join(place or os.getcwd() for place in sys.path)  # noqa: PTH109
    kept = {name: os.environ[name] for name in ("LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR") if name in os.environ}
    return {**kept, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
