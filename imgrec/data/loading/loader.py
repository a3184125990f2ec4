"""The loaders: batches of a dataset in the order of a sampler, made by this process, its threads or workers."""

import atexit
import signal
import sys
import weakref
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress
from itertools import islice
from queue import SimpleQueue
from threading import Thread
from types import FrameType
from typing import Any

import torch
from torch.utils.data import DataLoader
from torch.utils.data._utils.pin_memory import pin_memory

from imgrec.data.loading.dataset import Batch, ImageDataset
from imgrec.data.loading.sampler import EvalBatchSampler, KeyedBatchSampler
from imgrec.errors import ImgrecError

__all__ = ["KeyedLoader", "make_loader"]


def make_loader(
    dataset: ImageDataset,
    sampler: KeyedBatchSampler | EvalBatchSampler,
    *,
    num_workers: int,
    threads: bool = False,
    prefetch: int = 2,
    timeout_s: float = 0,
    seed: int = 0,
) -> "KeyedLoader":
    """Return a loader of whole batches.

    Args:
        dataset: Makes the batches.
        sampler: Yields the keys of each batch.
        num_workers: Worker processes, or threads of this process; 0: batches are made when they are requested.
        threads: Whether the workers are threads.
        prefetch: Batches that each worker has ready.
        timeout_s: Seconds to wait for a batch of a worker before a RuntimeError; 0: no limit.
        seed: Of the generator that PyTorch seeds workers from.
    """
    if threads and num_workers:
        return ThreadedLoader(
            dataset, sampler=sampler, num_threads=num_workers, num_ready=prefetch * num_workers, timeout_s=timeout_s
        )
    return KeyedLoader(
        dataset,
        sampler=sampler,
        batch_size=None,
        collate_fn=_as_it_is,  # type: ignore[arg-type]  # without batch_size it gets a whole batch
        num_workers=num_workers,
        prefetch_factor=prefetch if num_workers else None,
        timeout=timeout_s if num_workers else 0,
        persistent_workers=num_workers > 0,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=_prepare_worker if num_workers else None,
        # Without it each new iterator draws from torch's global generator and so moves dropout's numbers.
        generator=torch.Generator().manual_seed(seed),
    )


class KeyedLoader(DataLoader[Batch | ImgrecError]):
    """A DataLoader that can start in the middle of an epoch.

    The data module and the sampler keep the position; `state_dict` and `load_state_dict` are there because Lightning
    requires them.
    """

    def __iter__(self) -> Any:
        """Start; from now on there may be workers to end."""
        if not _started:
            atexit.register(_end_workers)
        _started.add(self)
        return super().__iter__()

    def end_workers(self) -> None:
        """End the workers, if there are any; one that hangs is killed."""
        end = getattr(self._iterator, "_shutdown_workers", None)
        if end is None:
            return
        end()
        for worker in self._iterator._workers:  # type: ignore[union-attr]
            with suppress(ValueError):  # closed already
                worker.kill()

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the data module holds the position."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to restore here."""


class ThreadedLoader(KeyedLoader):
    """A loader whose batches are made ahead by threads of this process, and returned in order.

    Nothing is copied between processes, which for images that cost little is most of the work. Decoding, resizing and
    copying release Python's lock; the Python code in between does not, so worker processes are faster for many
    transforms, or beside training steps of a few milliseconds.
    """

    def __init__(
        self,
        dataset: ImageDataset,
        *,
        sampler: KeyedBatchSampler | EvalBatchSampler,
        num_threads: int,
        num_ready: int,
        timeout_s: float = 0,
    ) -> None:
        super().__init__(dataset, sampler=sampler, batch_size=None, collate_fn=_as_it_is)  # type: ignore[arg-type]
        self.num_threads = num_threads
        self.num_ready = num_ready
        self.timeout_s = timeout_s
        self._jobs: SimpleQueue[tuple[Future[Any], Any] | None] = SimpleQueue()
        self._threads: list[Thread] = []

    def __iter__(self) -> Any:
        """Start; the threads stay for the next epoch."""
        if not self._threads:
            assert isinstance(self.dataset, ImageDataset)
            # Daemons, so that one that hangs on a file does not keep the process from ending.
            own = [self.dataset.for_another_thread() for _ in range(self.num_threads)]
            self._threads = [Thread(target=_serve, args=(self._jobs, dataset), daemon=True) for dataset in own]
            for thread in self._threads:
                thread.start()
        return self._batches()

    def _batches(self) -> Iterator[Any]:
        keys = iter(self.sampler)
        waiting = deque(map(self._submit, islice(keys, self.num_ready)))
        try:
            while waiting:
                batch = waiting.popleft().result(timeout=self.timeout_s or None)
                waiting.extend(map(self._submit, islice(keys, 1)))
                yield _pinned(batch)
        except TimeoutError as error:
            raise RuntimeError(f"DataLoader timed out after {self.timeout_s:g} seconds") from error
        finally:
            for future in waiting:
                future.cancel()

    def _submit(self, keys: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        self._jobs.put((future, keys))
        return future

    def end_workers(self) -> None:
        """Let the threads end after their current batch."""
        for _ in self._threads:
            self._jobs.put(None)
        self._threads = []


def _pinned(batch: Batch | ImgrecError) -> Any:
    """Return the batch in pinned memory, if there is a GPU."""
    if isinstance(batch, dict) and torch.cuda.is_available():
        return pin_memory(batch)  # type: ignore[no-untyped-call]
    return batch


def _serve(jobs: "SimpleQueue[tuple[Future[Any], Any] | None]", dataset: ImageDataset) -> None:
    """Make the requested batches until None is received."""
    while (job := jobs.get()) is not None:
        future, keys = job
        if not future.set_running_or_notify_cancel():
            continue
        try:
            future.set_result(dataset[keys])
        except BaseException as error:
            future.set_exception(error)


_started: "weakref.WeakSet[KeyedLoader]" = weakref.WeakSet()


def _end_workers() -> None:
    """End all workers at exit, in particular after an error.

    multiprocessing, which is next, would send each a single SIGTERM, which they ignore, and wait forever.
    """
    for loader in list(_started):
        loader.end_workers()


def _as_it_is(batch: Batch) -> Batch:
    """Return the complete batch of the dataset; not a lambda, so that spawned workers can pickle it."""
    return batch


def _prepare_worker(worker_id: int) -> None:
    """Set up a worker: one thread, as a pool in each would only make them wait for one another.

    A signal to stop often goes to all processes of a job. Workers ignore the first one: the main process saves, ends,
    and ends them.
    """
    del worker_id
    signal.signal(signal.SIGTERM, _let_pass_once)
    torch.set_num_threads(1)
    if cv2 := sys.modules.get("cv2"):  # only if an augmentation has imported it
        cv2.setNumThreads(0)


def _let_pass_once(number: int, frame: FrameType | None) -> None:
    """Ignore a signal, but not the next one."""
    del frame
    signal.signal(number, signal.SIG_DFL)
