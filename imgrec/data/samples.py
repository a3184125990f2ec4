"""The samples of each split and their classes, as a data source returns them."""

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
        labels: int64 (N,) class indices; for several labels per image uint8 (N, C) of 0 and 1.
        groups: One name per image (patient, video, site) or None.
        columns: Metadata of each image, by name: numbers (NaN: unknown) or text ("": unknown).
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


@dataclass(frozen=True)
class Splits:
    """All splits of a data set with one list of classes.

    Attributes:
        class_names: From the training set (or a checkpoint); index i of every label means class_names[i].
        train: The training split; None: the data has none. Likewise `val` and `test`.
        val: The validation split.
        test: The test split.
        task: "single" (one class per image) or "multilabel".
        notes: Warnings that do not stop the run, a line each: skipped files and why, a class missing in validation,
            hidden folders.
        is_unsplit: Whether the source names no splits, so that the data was split at random.
    """

    class_names: Sequence[str]
    train: Samples | None = None
    val: Samples | None = None
    test: Samples | None = None
    task: Task = "single"
    notes: Sequence[str] = field(default_factory=tuple)
    is_unsplit: bool = False
