"""Samples, splits and notes: what a data source returns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

UInt8Array = NDArray[np.uint8]
Task = Literal["single", "multilabel"]
Column = NDArray[np.float64] | Sequence[str]
SPLITS = ("train", "val", "test")


class Images(Protocol):
    """N images, each decoded when it is indexed."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> UInt8Array:
        """Return image `index` as uint8 (H, W, 3), RGB, upright.

        Raises:
            ImageError: It cannot be read.
        """
        ...


@dataclass(frozen=True)
class Samples:
    """One split: N images with their labels.

    Attributes:
        names: Name of each image in tables and messages: its path as found, or `digits/0012` where there is no file.
        images: The images.
        labels: int64 (N,) class indices, or uint8 (N, C) of 0 and 1 for several labels per image.
        groups: Group of each image (patient, video, site), or None.
        columns: Metadata of each image by column name: numbers (NaN = unknown) or texts ("" = unknown).
    """

    names: Sequence[str]
    images: Images
    labels: NDArray[np.int64] | NDArray[np.uint8]
    groups: Sequence[str] | None = None
    columns: Mapping[str, Column] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert len(self.names) == len(self.images) == len(self.labels)
        assert all(len(column) == len(self.names) for column in self.columns.values())
        assert self.groups is None or len(self.groups) == len(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def subset(self, indices: Sequence[int] | NDArray[np.int64]) -> "Samples":
        """Return the samples at `indices`, in that order."""
        return Samples(
            names=[self.names[i] for i in indices],
            images=ImagesView(self.images, indices),
            labels=self.labels[np.asarray(indices, dtype=np.int64)],
            groups=None if self.groups is None else [self.groups[i] for i in indices],
            columns={name: take(column, indices) for name, column in self.columns.items()},
        )


def take(column: Column, indices: Sequence[int] | NDArray[np.int64]) -> Column:
    """Return the values of a column at `indices`, in that order."""
    if isinstance(column, np.ndarray):
        return column[np.asarray(indices, dtype=np.int64)]
    return [column[int(i)] for i in indices]


@dataclass(frozen=True)
class ImagesView:
    """Some of the images of another collection, in a chosen order."""

    images: Images
    indices: Sequence[int] | NDArray[np.int64]

    @property
    def in_memory(self) -> bool:
        """Whether the images are decoded already."""
        return bool(getattr(self.images, "in_memory", False))

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int, /) -> UInt8Array:
        return self.images[int(self.indices[index])]


def count_classes(labels: NDArray[np.integer], num_classes: int) -> NDArray[np.int64]:
    """Return the number of samples of each class, int64 (C,), for labels (N,) or (N, C)."""
    counts = labels.sum(axis=0) if labels.ndim == 2 else np.bincount(labels, minlength=num_classes)
    return counts.astype(np.int64)


@dataclass(frozen=True)
class Note:
    """A remark on a data set that does not stop a run.

    Attributes:
        code: Kind of remark, for programs: `excluded` (files that are no samples), `missing_class`, `leaking_groups`,
            `edited` (a split file), `table` (a faulty row), `layout` (of folders or arrays), `prepared`.
        text: One line for people, with the names it is about.
    """

    code: str
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Splits:
    """All splits of a data set with one list of classes.

    Attributes:
        class_names: Made from the training set, or given by a checkpoint; label i means class_names[i].
        train: Training split; None where there is none, as for the other two.
        val: Validation split.
        test: Test split.
        task: "single" for one label per image, "multilabel" for several.
        notes: What a user should know but does not stop a run.
        is_unsplit: Whether the source defines no splits, so that they were drawn at random.
    """

    class_names: Sequence[str]
    train: Samples | None = None
    val: Samples | None = None
    test: Samples | None = None
    task: Task = "single"
    notes: Sequence[Note] = field(default_factory=tuple)
    is_unsplit: bool = False
