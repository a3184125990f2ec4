"""The loaders: batches made by a data set in the order of a sampler, by this process or by others."""

import atexit
import signal
import sys
import weakref
from contextlib import suppress
from types import FrameType
from typing import Any

import torch
from torch.utils.data import DataLoader

from imgrec.data.dataset import Batch, ImageDataset
from imgrec.data.sampler import EvalBatchSampler, KeyedBatchSampler
from imgrec.errors import ImgrecError

__all__ = ["KeyedLoader", "make_loader"]


def make_loader(
    dataset: ImageDataset,
    sampler: KeyedBatchSampler | EvalBatchSampler,
    *,
    num_workers: int,
    prefetch: int = 2,
    timeout_s: float = 0,
    seed: int = 0,
) -> "KeyedLoader":
    """Return a loader of whole batches.

    num_workers: processes that read; 0 = this one. prefetch: batches that each of them has ready.
    timeout_s: seconds after which a batch of another process that does not come raises RuntimeError; 0 = never.
    """
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
    """A DataLoader that tells Lightning that it can be entered in the middle of an epoch.

    The place itself is kept by the data module and the sampler; the two methods of state only speak Lightning's
    protocol.
    """

    def __iter__(self) -> Any:
        """Begin; from now on there may be worker processes to end."""
        if not _started:
            atexit.register(_end_workers)
        _started.add(self)
        return super().__iter__()

    def end_workers(self) -> None:
        """End the worker processes, if there are any; one that hangs is killed."""
        end = getattr(self._iterator, "_shutdown_workers", None)
        if end is None:
            return
        end()
        for worker in self._iterator._workers:  # type: ignore[union-attr]
            with suppress(ValueError):  # closed already
                worker.kill()

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the data module holds the place."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to restore here."""


_started: "weakref.WeakSet[KeyedLoader]" = weakref.WeakSet()


def _end_workers() -> None:
    """End all workers while this process still can, after an error above all.

    multiprocessing, which comes next, would send each a single SIGTERM, which they let pass, and wait for ever.
    """
    for loader in list(_started):
        loader.end_workers()


def _as_it_is(batch: Batch) -> Batch:
    """Return a batch that the data set has made whole; not a lambda, so that spawned workers can pickle it."""
    return batch


def _prepare_worker(worker_id: int) -> None:
    """Set up a loader process: one thread, as a pool in each would only make them wait for one another.

    A signal to stop often goes to all processes of a job. Workers let the first one pass: the main process saves, ends,
    and takes them along.
    """
    del worker_id
    signal.signal(signal.SIGTERM, _let_pass_once)
    torch.set_num_threads(1)
    if cv2 := sys.modules.get("cv2"):  # there only when an augmentation has brought it in
        cv2.setNumThreads(0)


def _let_pass_once(number: int, frame: FrameType | None) -> None:
    """Ignore a signal, but not the next one."""
    del frame
    signal.signal(number, signal.SIG_DFL)
