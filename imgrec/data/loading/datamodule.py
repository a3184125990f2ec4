"""The LightningDataModule of all data sources: it holds the splits and makes the loaders."""

import logging
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytorch_lightning import LightningDataModule

from imgrec.core.config.checks import check_choice, check_count, check_number
from imgrec.core.text import listed
from imgrec.data.fingerprint import samples_fingerprint
from imgrec.data.loading.dataset import Batch, ImageDataset
from imgrec.data.loading.loader import KeyedLoader, make_loader
from imgrec.data.loading.quarantine import Quarantine, check_max_bad
from imgrec.data.loading.sampler import EvalBatchSampler, KeyedBatchSampler
from imgrec.data.loading.workers import fastest_workers, usual_workers
from imgrec.data.samples import SPLITS, Samples, Splits, UInt8Array
from imgrec.data.splits.split import split_indices
from imgrec.errors import DataError, ImageError, ImgrecError

log = logging.getLogger("imgrec")


class ImageDataModule(LightningDataModule):
    """Loaders over the splits of a data source. A source is a subclass with `read`.

    Args:
        preprocess: uint8 (H, W, 3) -> uint8 (h, w, 3), applied to all splits (see `augment.after` for training).
        augment: Training augmentation, keyed by (seed, epoch, sample index); None: none.
        batch_size: Images per optimizer step and process.
        eval_batch_size: Images per batch of an evaluation; None: as `batch_size`.
        num_workers: Number of workers; None: by the number of processors, 0 for images in memory; "auto": the fastest
            on this machine, by a measurement of some seconds (of `workers` and `prefetch` too).
        workers: "processes", or "threads" of this process; see `ThreadedLoader`.
        prefetch: Batches that each worker has ready.
        timeout_s: Seconds to wait for a batch before the run ends with an error; 0: no limit.
        seed: Keys the split, the order and every augmentation draw.
        splits: A split file.
        fold: Which fold is the test split.
        folds: Number of folds without a split file.
        max_bad: Unreadable images that may be excluded: a fraction of a split below 1, or a number.
        check: Whether all images are checked before training; see `imgrec.auditing.before_training`.
        leaks: What duplicates across splits are: "error", "warn" or "ignore".
        num_classes: None: as found; a number is checked against the data.
        class_counts: Training images per class; set by the run for losses with class weights.
        num_samples: Training images; set by the run.
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
        num_workers: int | str | None = None,
        workers: str = "processes",
        prefetch: int = 2,
        timeout_s: float = 300,
        seed: int = 1,
        splits: str | None = None,
        fold: int | None = None,
        folds: int = 5,
        max_bad: float = 0.01,
        check: bool | str = "auto",
        leaks: str = "error",
        num_classes: int | None = None,
        class_counts: Sequence[int] | None = None,
        num_samples: int | None = None,
    ) -> None:
        super().__init__()
        check_count("data.batch_size", batch_size, at_least=1)
        if eval_batch_size is not None:
            check_count("data.eval_batch_size", eval_batch_size, at_least=1)
        if num_workers not in (None, "auto"):
            check_count("data.num_workers", num_workers, at_least=0)
        check_choice("data.workers", workers, ("processes", "threads"))
        check_count("data.prefetch", prefetch, at_least=1)
        check_number("data.timeout_s", timeout_s, at_least=0)
        check_max_bad(max_bad)
        check_choice("data.check", check, (True, False, "auto"))
        check_choice("data.leaks", leaks, ("error", "warn", "ignore"))
        self.preprocess = preprocess
        self.augment = augment
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size or batch_size
        self.num_workers = num_workers
        self.workers = workers
        self.prefetch = prefetch
        self.timeout_s = timeout_s
        self.seed = seed
        self.split_file = None if splits is None else Path(splits)
        self.fold = fold
        self.folds = folds
        self.max_bad = max_bad
        self.check = check
        self.leaks = leaks
        self.num_classes = num_classes
        self.class_counts = class_counts
        self.num_samples = num_samples
        self.given_class_names: list[str] | None = None
        self._splits: Splits | None = None
        self._quarantine: Quarantine | None = None
        self._train_sampler: KeyedBatchSampler | None = None
        self._resume_at = (0, 0)
        self._running_split = "val"

    @abstractmethod
    def read(self, class_names: Sequence[str] | None) -> Splits:
        """Read the splits; with `class_names`, map labels to that list by name.

        Raises:
            DataError: The data cannot be used.
        """

    @property
    def splits(self) -> Splits:
        """The splits, read when they are first needed."""
        if self._splits is None:
            self._splits = self._resplit(self.read(self.given_class_names))
            self._check_num_classes(self._splits.class_names)
        return self._splits

    def log_notes(self) -> None:
        """Read the splits, and log their notes as warnings."""
        for note in self.splits.notes:
            log.warning("%s", note)

    def _resplit(self, splits: Splits) -> Splits:
        """Apply the split file or the fold, if one is set."""
        if self.split_file is not None:
            from imgrec.data.splits.split_file import apply_split_file

            return apply_split_file(splits, file=self.split_file, fold=self.fold)
        if self.fold is None:
            return splits
        from imgrec.data.splits.folds import apply_folds

        val_fraction = getattr(self, "options", {}).get("val_fraction", 0.1)
        return apply_folds(splits, fold=self.fold, folds=self.folds, val_fraction=val_fraction, seed=self.seed)

    @property
    def quarantine(self) -> Quarantine:
        """The images that were excluded because they cannot be read."""
        if self._quarantine is None:
            sizes = {name: len(self.split(name)) for name in SPLITS if self.has_split(name)}
            self._quarantine = Quarantine(sizes, max_bad=self.max_bad)
        return self._quarantine

    def exclude(self, errors: Mapping[str, Mapping[int, ImageError]]) -> None:
        """Exclude images that cannot be read, by split and index.

        Raises:
            DataError: More than `max_bad`.
        """
        assert self._train_sampler is None, "indices are fixed once there is a loader"
        kept: dict[str, Any] = {}
        for name, by_index in errors.items():
            self.quarantine.add(name, by_index.values())
            samples = self.split(name)
            kept[name] = samples.subset([index for index in range(len(samples)) if index not in by_index])
        self._splits = replace(self.splits, **kept)

    def hold_out(self, name: str, *, fraction: float, to: str, seed: int) -> None:
        """Move this fraction of the split `name` to the split `to`, which it replaces.

        Stratified by class; groups stay together.

        Raises:
            DataError: Too few images or groups to split.
        """
        assert self._train_sampler is None and to != name, "indices are fixed once there is a loader"
        samples = self.split(name)
        fractions = {name: 1 - fraction, to: fraction}
        indices = split_indices(samples.labels, seed=seed, fractions=fractions, groups=samples.groups)
        both: dict[str, Any] = {split: samples.subset(chosen) for split, chosen in indices.items()}
        self._splits = replace(self.splits, **both)

    def _check_num_classes(self, class_names: Sequence[str]) -> None:
        if self.num_classes is not None and self.num_classes != len(class_names):
            raise DataError(
                f"{len(class_names)} classes in the data, but data.num_classes={self.num_classes}. "
                f"Set data.num_classes={len(class_names)} (or null), or correct the class names: "
                f"{listed(class_names, limit=12)}."
            )

    def setup(self, stage: str | None = None) -> None:
        """Read the splits (Lightning calls this before each stage)."""
        assert self.splits is not None

    def split(self, name: str) -> Samples:
        """Return the split "train", "val" or "test".

        Raises:
            DataError: The data has no such split.
        """
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
        splits = {name: self.split(name) for name in SPLITS if self.has_split(name)}
        return samples_fingerprint(splits, self.splits.class_names)

    # Loaders

    def train_dataloader(self) -> KeyedLoader:
        """Shuffled, augmented batches of this rank."""
        samples = self.split("train")
        rank, world_size = self._rank_and_world_size()
        self._train_sampler = self.make_train_sampler(samples, rank=rank, world_size=world_size)
        self._train_sampler.start_at(*self._resume_at)
        return self._loader(self._train_dataset(samples), self._train_sampler)

    def make_train_sampler(self, samples: Samples, *, rank: int, world_size: int) -> KeyedBatchSampler:
        """Return the order of training; a source overrides it where another order reads faster."""
        return KeyedBatchSampler(
            len(samples), batch_size=self.batch_size, seed=self.seed, rank=rank, world_size=world_size
        )

    def _train_dataset(self, samples: Samples) -> ImageDataset:
        return ImageDataset(
            samples, preprocess=self.preprocess, augment=self.augment, seed=self.seed, strict=self.max_bad == 0
        )

    def val_dataloader(self) -> KeyedLoader:
        """Batches of the validation split, in order."""
        return self.eval_dataloader("val", strict=self.max_bad == 0)

    def test_dataloader(self) -> KeyedLoader:
        """Batches of the test split, in order."""
        return self.eval_dataloader("test", measure=True)

    def on_split(self, name: str) -> "OneSplit":
        """Return a data module whose test split is the split `name`, for `Trainer.test`."""
        return OneSplit(self, name)

    def eval_dataloader(self, split: str, *, strict: bool = True, measure: bool = False) -> KeyedLoader:
        """Batches of any split, in order and without augmentation.

        Args:
            split: "train", "val" or "test".
            strict: An image that cannot be read is an error; otherwise it is excluded, within `max_bad`.
            measure: Whether batches hold properties of their images (`imgrec.data.images.properties`).
        """
        samples = self.split(split)
        rank, world_size = self._rank_and_world_size()
        sampler = EvalBatchSampler(len(samples), batch_size=self.eval_batch_size, rank=rank, world_size=world_size)
        dataset = ImageDataset(samples, preprocess=self.preprocess, strict=strict, measure=measure)
        return self._loader(dataset, sampler)

    def _rank_and_world_size(self) -> tuple[int, int]:
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)

    def _loader(self, dataset: ImageDataset, sampler: KeyedBatchSampler | EvalBatchSampler) -> KeyedLoader:
        if self.num_workers == "auto":
            of_training = self._train_dataset(self.split("train")) if self.has_split("train") else dataset
            choice = fastest_workers(of_training, batch_size=self.batch_size)
            self.workers, self.num_workers, self.prefetch = choice.workers, choice.num_workers, choice.prefetch
        is_given = isinstance(self.num_workers, int)
        return make_loader(
            dataset,
            sampler,
            num_workers=int(self.num_workers or 0) if is_given else usual_workers(dataset),
            threads=self.workers == "threads",
            prefetch=self.prefetch,
            timeout_s=self.timeout_s,
            seed=self.seed,
        )

    def on_before_batch_transfer(self, batch: Batch | ImgrecError, dataloader_idx: int) -> Batch:
        """Raise the error that a worker returned instead of a batch, and count the images that it excluded."""
        if isinstance(batch, ImgrecError):
            raise batch
        excluded = batch.pop("excluded", None)
        if excluded:
            training = self.trainer is None or self.trainer.training
            self.quarantine.add("train" if training else self._running_split, excluded)
        return batch

    # The position of training in the data

    def state_dict(self) -> dict[str, Any]:
        """Epoch and batch at which training continues: saved with every checkpoint."""
        epoch, batch = self._position()
        return {"epoch": epoch, "batch": batch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Resume at the saved position; called before the loader exists."""
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


class OneSplit(LightningDataModule):
    """A view of the data module `data` whose test split is the split `name`."""

    allow_zero_length_dataloader_with_multiple_devices = True

    def __init__(self, data: ImageDataModule, name: str) -> None:
        super().__init__()
        self.data = data
        self.split_name = name

    def test_dataloader(self) -> KeyedLoader:
        """Batches of the split, in order, with properties of their images."""
        self.data.trainer = self.trainer
        return self.data.eval_dataloader(self.split_name, measure=True)

    def on_before_batch_transfer(self, batch: Batch | ImgrecError, dataloader_idx: int) -> Batch:
        """Raise the error that a worker returned, and count excluded images for this split."""
        self.data._running_split = self.split_name
        try:
            return self.data.on_before_batch_transfer(batch, dataloader_idx)
        finally:
            self.data._running_split = "val"
