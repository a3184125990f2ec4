"""The LightningDataModule that every data source shares: splits in, keyed loaders out."""

import atexit
import hashlib
import os
import signal
import sys
import weakref
from abc import abstractmethod
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import numpy as np
import torch
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader

from imgrec.checks import check_count
from imgrec.data.dataset import Batch, ImageDataset
from imgrec.data.sampler import EvalBatchSampler, KeyedBatchSampler
from imgrec.data.samples import SPLITS, Samples, Splits, UInt8Array
from imgrec.errors import DataError, ImgrecError

MAX_AUTO_WORKERS = 8


class ImageDataModule(LightningDataModule):
    """Loaders over the splits that a source reads. A source is a subclass with `read`.

    preprocess: what the network sees outside training: uint8 (H, W, 3) -> uint8 (h, w, 3).
    augment: training augmentation, keyed by (seed, epoch, sample index); None means none.
    batch_size: pictures per optimizer step and process. eval_batch_size: null = the same.
    num_workers: loader processes; null = by the number of processors, 0 for pictures that are in memory already.
    seed: keys the split, the order and every augmentation draw.
    num_classes: null = as found; a number is checked against what is found.
    class_counts, num_samples: training pictures per class and in all; written by the run for losses that weigh classes.
    """

    # Ranks of an evaluation may differ by one sample, and a small set may leave a rank with none.
    allow_zero_length_dataloader_with_multiple_devices = True

    def __init__(
        self,
        *,
        preprocess: Callable[[UInt8Array], UInt8Array],
        augment: Any = None,
        batch_size: int = 64,
        eval_batch_size: int | None = None,
        num_workers: int | None = None,
        seed: int = 1,
        num_classes: int | None = None,
        class_counts: Sequence[int] | None = None,
        num_samples: int | None = None,
    ) -> None:
        super().__init__()
        check_count("data.batch_size", batch_size, at_least=1)
        if eval_batch_size is not None:
            check_count("data.eval_batch_size", eval_batch_size, at_least=1)
        if num_workers is not None:
            check_count("data.num_workers", num_workers, at_least=0)
        self.preprocess = preprocess
        self.augment = augment
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size or batch_size
        self.num_workers = num_workers
        self.seed = seed
        self.num_classes = num_classes
        self.class_counts = class_counts
        self.num_samples = num_samples
        self.given_class_names: list[str] | None = None
        self.test_split = "test"
        self._splits: Splits | None = None
        self._train_sampler: KeyedBatchSampler | None = None
        self._resume_at = (0, 0)

    @abstractmethod
    def read(self, class_names: Sequence[str] | None) -> Splits:
        """Read the splits; with `class_names`, map labels to that list by name. Raises: DataError."""

    @property
    def splits(self) -> Splits:
        """The splits, read when they are first needed."""
        if self._splits is None:
            self._splits = self.read(self.given_class_names)
            self._check_num_classes(self._splits.class_names)
        return self._splits

    def _check_num_classes(self, class_names: Sequence[str]) -> None:
        if self.num_classes is not None and self.num_classes != len(class_names):
            listed = ", ".join(class_names[:12]) + (", ..." if len(class_names) > 12 else "")
            raise DataError(
                f"{len(class_names)} classes in the data, but data.num_classes={self.num_classes}. "
                f"Set data.num_classes={len(class_names)} (or null), or mend the classes: {listed}."
            )

    def setup(self, stage: str | None = None) -> None:
        """Read the splits (Lightning calls this before each stage)."""
        assert self.splits is not None

    def split(self, name: str) -> Samples:
        """Return the split "train", "val" or "test". Raises: DataError: the data has none of that name."""
        samples: Samples | None = getattr(self.splits, name)
        if samples is None:
            there = [other for other in SPLITS if self.has_split(other)]
            raise DataError(f"The data has no {name} split, only {' and '.join(there) or 'empty ones'}.")
        return samples

    def has_split(self, name: str) -> bool:
        """Return whether the data has the split "train", "val" or "test"."""
        return getattr(self.splits, name, None) is not None

    def fingerprint(self) -> str:
        """Return a SHA-256 over the names and labels of all splits: two runs saw the same data if it is equal."""
        digest = hashlib.sha256("\0".join(self.splits.class_names).encode("utf-8", "surrogateescape"))
        for name in SPLITS:
            samples: Samples | None = getattr(self.splits, name)
            if samples is not None:
                digest.update(f"\0{name}\0".encode())
                digest.update("\0".join(samples.names).encode("utf-8", "surrogateescape"))
                digest.update(np.ascontiguousarray(samples.labels).tobytes())
        return digest.hexdigest()

    # Loaders

    def train_dataloader(self) -> "KeyedLoader":
        """Shuffled, augmented batches of this rank."""
        samples = self.split("train")
        rank, world_size = self._rank_and_world_size()
        self._train_sampler = KeyedBatchSampler(
            len(samples), batch_size=self.batch_size, seed=self.seed, rank=rank, world_size=world_size
        )
        self._train_sampler.start_at(*self._resume_at)
        dataset = ImageDataset(samples, preprocess=self.preprocess, augment=self.augment, seed=self.seed)
        return self._loader(dataset, self._train_sampler)

    def val_dataloader(self) -> "KeyedLoader":
        """Batches of the validation split, in order."""
        return self.eval_dataloader("val")

    def test_dataloader(self) -> "KeyedLoader":
        """Batches of the split named by `test_split`, in order."""
        return self.eval_dataloader(self.test_split)

    def eval_dataloader(self, split: str) -> "KeyedLoader":
        """Batches of any split, in order and without augmentation."""
        samples = self.split(split)
        rank, world_size = self._rank_and_world_size()
        sampler = EvalBatchSampler(len(samples), batch_size=self.eval_batch_size, rank=rank, world_size=world_size)
        return self._loader(ImageDataset(samples, preprocess=self.preprocess), sampler)

    def _rank_and_world_size(self) -> tuple[int, int]:
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)

    def _loader(self, dataset: ImageDataset, sampler: KeyedBatchSampler | EvalBatchSampler) -> "KeyedLoader":
        num_workers = self._choose_workers(dataset.samples) if self.num_workers is None else self.num_workers
        return KeyedLoader(
            dataset,
            sampler=sampler,
            batch_size=None,
            collate_fn=_as_it_is,  # type: ignore[arg-type]  # without batch_size it gets a whole batch
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            pin_memory=torch.cuda.is_available(),
            worker_init_fn=_prepare_worker if num_workers else None,
            # Without it each new iterator draws from torch's global generator and so moves dropout's numbers.
            generator=torch.Generator().manual_seed(self.seed),
        )

    @staticmethod
    def _choose_workers(samples: Samples) -> int:
        """Pictures in memory cost less than moving them between processes; files are worth a process per core."""
        if getattr(samples.images, "in_memory", False):
            return 0
        return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1, MAX_AUTO_WORKERS)

    def on_before_batch_transfer(self, batch: Batch | ImgrecError, dataloader_idx: int) -> Batch:
        """Raise the error that a worker met instead of a batch."""
        if isinstance(batch, ImgrecError):
            raise batch
        return batch

    # Where training stands

    def state_dict(self) -> dict[str, Any]:
        """Where the next batch of training is: saved with every checkpoint."""
        epoch, batch = self._position()
        return {"epoch": epoch, "batch": batch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on at the saved place; called before the loader exists."""
        self._resume_at = (state_dict["epoch"], state_dict["batch"])
        if self._train_sampler is not None:
            self._train_sampler.start_at(*self._resume_at)

    def _position(self) -> tuple[int, int]:
        if self.trainer is None:
            return self._resume_at
        fit_loop: Any = self.trainer.fit_loop
        epochs = fit_loop.epoch_progress.current
        if epochs.processed > epochs.completed:  # inside on_train_epoch_end: this epoch is over
            return epochs.processed, 0
        return epochs.processed, fit_loop.epoch_loop.batch_progress.current.processed


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
        """End the worker processes, if there are any."""
        end = getattr(self._iterator, "_shutdown_workers", None)
        if end is not None:
            end()

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
