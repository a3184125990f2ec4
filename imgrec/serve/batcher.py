"""Single images in, batches through the network, single rows out."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from imgrec.data.samples import UInt8Array
from imgrec.serve.refusals import Refusal

__all__ = ["Batcher", "Run"]

Run = Callable[[UInt8Array], NDArray[np.floating]]  # images uint8 (N, H, W, 3) -> logits (N, C)


@dataclass(eq=False)
class _Item:
    image: UInt8Array
    row: "asyncio.Future[NDArray[np.floating]]" = field(repr=False)


class Batcher:
    """Runs whatever waits, at most `max_batch` images at once.

    An idle network starts at once with what is there. While it works, images gather, and the next batch takes them all:
    the busier, the larger. Where the last batch shared its run and the next would be smaller, it waits up to
    `max_wait_s` for those that the last one's clients are about to send.

    A batch that fails is run again image by image, so that only the image at fault fails; a row that is not finite
    fails alone.

    executor: where `run` is called; one thread for all models, so that two never fight for the processors.
    on_batch: told the number of images and the seconds of each run.
    """

    def __init__(
        self,
        run: Run,
        *,
        executor: Executor,
        max_batch: int,
        max_wait_s: float,
        on_batch: Callable[[int, float], None] = lambda _images, _seconds: None,
    ) -> None:
        self._run = run
        self._executor = executor
        self._max_batch = max_batch
        self._max_wait_s = max_wait_s
        self._on_batch = on_batch
        self._waiting: deque[_Item] = deque()
        self._arrived = asyncio.Event()
        self._last_size = 0
        self._work: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many images wait for their batch."""
        return len(self._waiting)

    async def submit(self, image: UInt8Array) -> NDArray[np.floating]:
        """Return the logits (C,) of an image. Raises: Refusal: `not_finite`; `internal`: the network failed on it."""
        item = _Item(image, asyncio.get_running_loop().create_future())
        self._waiting.append(item)
        self._arrived.set()
        if self._work is None or self._work.done():
            self._work = asyncio.get_running_loop().create_task(self._empty())
        return await item.row

    async def drain(self) -> None:
        """Wait until nothing is left."""
        if self._work is not None:
            await asyncio.wait([self._work])

    async def _empty(self) -> None:
        """Run batches until nothing waits."""
        self._last_size = 0
        while self._waiting:
            await self._gather()
            items = [self._waiting.popleft() for _ in range(min(self._max_batch, len(self._waiting)))]
            items = [item for item in items if not item.row.done()]  # a client that has gone
            if items:
                await self._answer(items)
            self._last_size = len(items)

    async def _gather(self) -> None:
        """Wait a moment for company, if there was some a moment ago."""
        wanted = min(self._last_size, self._max_batch)
        deadline = time.monotonic() + self._max_wait_s
        while len(self._waiting) < wanted and (left := deadline - time.monotonic()) > 0:
            self._arrived.clear()
            try:
                async with asyncio.timeout(left):
                    await self._arrived.wait()
            except TimeoutError:
                return

    async def _answer(self, items: Sequence[_Item]) -> None:
        try:
            rows = await self._run_together(items)
        except Exception:  # whatever the runtime raises
            if len(items) > 1:
                for item in items:
                    await self._answer([item])
            elif not items[0].row.done():
                items[0].row.set_exception(Refusal("internal"))
            return
        for item, row in zip(items, rows, strict=True):
            if item.row.done():
                continue
            if np.isfinite(row).all():
                item.row.set_result(row)
            else:
                item.row.set_exception(Refusal("not_finite"))

    async def _run_together(self, items: Sequence[_Item]) -> NDArray[np.floating]:
        started = time.monotonic()
        loop = asyncio.get_running_loop()
        rows = await loop.run_in_executor(self._executor, lambda: self._run(np.stack([item.image for item in items])))
        self._on_batch(len(items), time.monotonic() - started)
        return rows
