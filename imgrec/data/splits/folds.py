"""k-fold division: each part of the data is the test once, validation comes out of the rest by the same rules."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.core.keyed_random import library_seed
from imgrec.core.text import listed
from imgrec.data.samples import SPLITS, Samples, Splits
from imgrec.data.splits.join import pool
from imgrec.data.splits.split import IndexArray, fold_numbers, split_indices
from imgrec.errors import ConfigError

__all__ = [
    "UNUSED",
    "Sides",
    "apply_folds",
    "as_sides",
    "check_fold",
    "count_classes",
    "deal_folds",
    "deal_once",
    "divide",
]

Labels = NDArray[np.int64] | NDArray[np.uint8]
Sides = NDArray[np.uint8]  # which part each sample is in: 0 train, 1 val, 2 test (as in SPLITS), or UNUSED

UNUSED = len(SPLITS)
# Where groups bind: on data of 43 classes with few groups each, a third of the classes that validation lacks at 1, for
# sizes that are a few per cent of themselves off.
_SIZE_WEIGHT = 0.25
_ABOUT_DIVISION = (*(f"No {name} images of " for name in SPLITS), "Groups in both ")


def apply_folds(splits: Splits, *, fold: int, folds: int, val_fraction: float, seed: int) -> Splits:
    """Divide all samples of a data set, whatever splits they came in, as fold `fold` of `folds` has them.

    Samples of a group stay together. val_fraction: share of all samples, taken from what is not the test.
    The same seed gives the same folds, in whatever order the samples are listed, and those that a split file of this
    seed holds. Raises: ConfigError: no such fold. DataError: too few samples or groups.
    """
    check_fold(fold, folds=folds)
    whole = pool((splits.train, splits.val, splits.test))
    sides = deal_folds(
        whole.labels, folds=folds, val_fraction=val_fraction, seed=seed, groups=whole.groups, only=fold
    )  # fmt: skip
    return divide(whole, sides[:, fold], like=splits)


def check_fold(fold: Any, *, folds: int) -> None:
    """Check the number of a fold. Raises: ConfigError."""
    if isinstance(folds, bool) or not isinstance(folds, int) or folds < 2:
        raise ConfigError(f"data.folds={folds}: two folds or more are needed, one of them for the test.")
    if isinstance(fold, bool) or not isinstance(fold, int) or not 0 <= fold < folds:
        every = ",".join(str(number) for number in range(folds)) if folds <= 10 else f"0,1,...,{folds - 1}"
        raise ConfigError(
            f"data.fold={fold}, but folds are counted from 0 to {folds - 1}. All of them: -m data.fold={every}"
        )


def deal_folds(
    labels: Labels,
    *,
    folds: int,
    val_fraction: float,
    seed: int,
    groups: Sequence[str] | None = None,
    repeats: int = 1,
    only: int | None = None,
) -> Sides:
    """Divide N samples `folds` times, so that each is in the test exactly once; and that `repeats` times anew.

    labels, groups: as in `split_indices`. val_fraction: share of all samples.
    Returns: uint8 (N, repeats * folds); column repeat * folds + fold. With `only`, the other columns are not worked out
        and stay UNUSED.
    Raises: ConfigError: a share that leaves no training samples. DataError: too few samples or groups.
    """
    share = val_fraction * folds / (folds - 1)  # of what is not the test
    if val_fraction < 0 or share >= 1 - 1e-9:
        raise ConfigError(
            f"A validation share of {val_fraction:g} and 1/{folds} for the test leave nothing to train on: the share "
            f"must be 0 or more and below {1 - 1 / folds:.4g}."
        )
    sides = np.full((len(labels), repeats * folds), UNUSED, dtype=np.uint8)
    for repeat in range(repeats):
        number_of = fold_numbers(labels, folds=folds, seed=library_seed(seed, repeat), groups=groups)
        for fold in range(folds):
            column = repeat * folds + fold
            if only in (None, column):
                sides[:, column] = _one_fold(
                    labels, number_of == fold, share=share, seed=library_seed(seed, repeat, fold), groups=groups
                )
    return sides


def _one_fold(
    labels: Labels, is_test: NDArray[np.bool_], *, share: float, seed: int, groups: Sequence[str] | None
) -> Sides:
    rest = np.flatnonzero(~is_test)
    sides = np.where(is_test, np.uint8(SPLITS.index("test")), np.uint8(SPLITS.index("train")))
    if share > 0:
        of_rest = None if groups is None else [groups[int(i)] for i in rest]
        fractions = {"train": 1 - share, "val": share}
        found = split_indices(labels[rest], fractions=fractions, seed=seed, groups=of_rest, size_weight=_SIZE_WEIGHT)
        sides[rest[found["val"]]] = SPLITS.index("val")
    return sides


def deal_once(
    labels: Labels, *, fractions: Mapping[str, float], seed: int, groups: Sequence[str] | None = None
) -> Sides:
    """Divide N samples by `split_indices`. Returns: uint8 (N, 1), as one column of `deal_folds`. Raises: DataError."""
    found = split_indices(labels, fractions=fractions, seed=seed, groups=groups, size_weight=_SIZE_WEIGHT)
    return as_sides(found, len(labels))


def as_sides(indices: Mapping[str, IndexArray], count: int) -> Sides:
    """Return the indices of each split as uint8 (count, 1)."""
    sides = np.full((count, 1), UNUSED, dtype=np.uint8)
    for name, members in indices.items():
        sides[members, 0] = SPLITS.index(name)
    return sides


# From sides to splits


def divide(whole: Samples, sides: Sides, *, like: Splits) -> Splits:
    """Return the splits of `whole` that `sides` (N,) says, with the classes, the task and the notes of `like`.

    Notes on the division that `like` had give way to those on this one. A part without samples is None.
    """
    found = {name: np.flatnonzero(sides == side) for side, name in enumerate(SPLITS)}
    parts = {name: whole.subset(indices) for name, indices in found.items() if len(indices)}
    kept = [note for note in like.notes if not note.startswith(_ABOUT_DIVISION)]
    notes = [*kept, *_missing_classes(parts, like.class_names), *_leaking_groups(parts)]
    train, val, test = (parts.get(name) for name in SPLITS)
    return replace(like, train=train, val=val, test=test, notes=tuple(notes))


def count_classes(labels: Labels, num_classes: int) -> IndexArray:
    """Return int64 (C,): how many samples each class has."""
    is_several = labels.ndim == 2
    counts = labels.sum(axis=0) if is_several else np.bincount(labels.astype(np.int64), minlength=num_classes)
    return np.asarray(counts, dtype=np.int64)


def _missing_classes(parts: Mapping[str, Samples], class_names: Sequence[str]) -> list[str]:
    notes = []
    for part, samples in parts.items():
        counts = count_classes(samples.labels, len(class_names))
        if missing := [name for name, count in zip(class_names, counts, strict=True) if count == 0]:
            effect = "the network cannot learn them" if part == "train" else "their scores there are undefined"
            notes.append(f"No {part} images of {listed(missing, limit=8)}: {effect}.")
    return notes


def _leaking_groups(parts: Mapping[str, Samples]) -> list[str]:
    groups = {part: set(samples.groups) for part, samples in parts.items() if samples.groups is not None}
    return [
        f"Groups in both {one} and {other}: {listed(shared, limit=8)}: the scores on {other} may be too good."
        for one, other in combinations(groups, 2)
        if (shared := sorted(groups[one] & groups[other]))
    ]
