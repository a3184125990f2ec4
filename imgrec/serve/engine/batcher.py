"""Gathers single images into batches, runs inference, and returns single rows of logits."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from imgrec.data.samples import UInt8Array
from imgrec.serve.http.refusals import Refusal

__all__ = ["Batcher", "Run"]


_FULL_S = 2.0  # after which there may be memory again


class Run(Protocol):
    """Images uint8 (N, H, W, 3) to logits (N, C); `single_thread` on the calling thread alone."""

    def __call__(self, images: UInt8Array, /, *, single_thread: bool) -> NDArray[np.floating]:
        """Run them."""


@dataclass(eq=False)
class _Item:
    image: UInt8Array
    row: "asyncio.Future[NDArray[np.floating]]" = field(repr=False)


class Batcher:
    """Runs whatever waits, in several workers: each a thread that runs batches of its own, at most `max_batch` images.

    An idle worker starts at once with its share of what is there. While all work, images gather: the busier, the larger
    the batches. An image that is there alone gets all threads of the model.

    A batch that fails is run again image by image, so that only the image at fault fails; a row that is not finite
    fails alone.

    executor: where `run` is called; with as many threads as there are workers, shared by all models, so that never more
        run than there are processors.
    on_batch: told the number of images and the seconds of each run.
    """

    def __init__(
        self,
        run: Run,
        *,
        executor: Executor,
        workers: int,
        max_batch: int,
        on_batch: Callable[[int, float], None] = lambda _images, _seconds: None,
    ) -> None:
        self._run = run
        self._executor = executor
        self._workers = workers
        self._max_batch = max_batch
        self._on_batch = on_batch
        self._waiting: deque[_Item] = deque()
        self._working: set[asyncio.Task[None]] = set()

    @property
    def waiting(self) -> int:
        """How many images wait for their batch."""
        return len(self._waiting)

    async def submit(self, image: UInt8Array) -> NDArray[np.floating]:
        """Return the logits (C,) of an image.

        Raises: Refusal: `not_finite`; `busy`: there is no memory for it; `internal`: inference failed on it.
        """
        loop = asyncio.get_running_loop()
        item = _Item(image, loop.create_future())
        self._waiting.append(item)
        if len(self._working) < self._workers:
            self._working.add(loop.create_task(self._work()))
        return await item.row

    async def drain(self) -> None:
        """Wait until nothing is left."""
        while self._working:
            await asyncio.wait(self._working)

    async def _work(self) -> None:
        """Run batches until nothing waits."""
        task = asyncio.current_task()
        assert task is not None
        try:
            while self._waiting:
                share = min(self._max_batch, -(-len(self._waiting) // self._workers))
                items = [self._waiting.popleft() for _ in range(share)]
                items = [item for item in items if not item.row.done()]  # a client that has gone
                if items:
                    await self._run_batch(items)
        finally:  # at once, not when the loop comes to it: the next image must see that this worker is idle
            self._working.discard(task)

    async def _run_batch(self, items: Sequence[_Item]) -> None:
        try:
            rows = await self._run_together(items)
        except Exception as error:  # whatever the runtime raises
            if len(items) > 1:
                for item in items:
                    await self._run_batch([item])
            elif not items[0].row.done():
                is_full = isinstance(error, MemoryError)
                items[0].row.set_exception(Refusal("busy", retry_after_s=_FULL_S) if is_full else Refusal("internal"))
            return
        for item, row in zip(items, rows, strict=True):
            if item.row.done():
                continue
            if np.isfinite(row).all():
                item.row.set_result(row)
            else:
                item.row.set_exception(Refusal("not_finite"))

    async def _run_together(self, items: Sequence[_Item]) -> NDArray[np.floating]:
        is_alone = len(items) == 1 and len(self._working) == 1 and not self._waiting
        images = np.stack([item.image for item in items])
        started = time.monotonic()
        loop = asyncio.get_running_loop()
        rows = await loop.run_in_executor(self._executor, lambda: self._run(images, single_thread=not is_alone))
        self._on_batch(len(items), time.monotonic() - started)
        return rows
