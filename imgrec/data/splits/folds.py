"""k-fold splits: each fold is the test once, and validation is taken from the rest by the same rules."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.core.keyed_random import library_seed
from imgrec.data.samples import SPLITS, Samples, Splits
from imgrec.data.sources.assemble import split_notes
from imgrec.data.splits.join import pool
from imgrec.data.splits.split import IndexArray, fold_numbers, split_indices
from imgrec.errors import ConfigError

__all__ = [
    "UNUSED",
    "Sides",
    "apply_folds",
    "as_sides",
    "assign",
    "check_fold",
    "deal_folds",
    "deal_once",
]

Labels = NDArray[np.int64] | NDArray[np.uint8]
Sides = NDArray[np.uint8]  # the split of each sample: 0 train, 1 val, 2 test (as in SPLITS), or UNUSED

UNUSED = len(SPLITS)
# With groups. On data of 43 classes with few groups each, validation lacks a third as many classes as with 1, for sizes
# that are a few per cent off.
_SIZE_WEIGHT = 0.25
_ABOUT_SPLIT = ("missing_class", "leaking_groups")  # codes of notes that another split replaces


def apply_folds(splits: Splits, *, fold: int, folds: int, val_fraction: float, seed: int) -> Splits:
    """Split all samples of a data set, whatever splits they came in, with fold `fold` of `folds` as the test.

    Samples of a group stay together. The same seed gives the same folds, whatever the order of the samples, and the
    same as in a split file of this seed.

    Args:
        splits: The data set.
        fold: Fold that is the test, 0 to folds - 1.
        folds: Number of folds.
        val_fraction: Share of all samples for validation.
        seed: Seed of the folds.

    Raises:
        ConfigError: There is no such fold.
        DataError: There are too few samples or groups.
    """
    check_fold(fold, folds=folds)
    whole = pool((splits.train, splits.val, splits.test))
    sides = deal_folds(
        whole.labels, folds=folds, val_fraction=val_fraction, seed=seed, groups=whole.groups, only=fold
    )  # fmt: skip
    return assign(whole, sides[:, fold], like=splits)


def check_fold(fold: Any, *, folds: int) -> None:
    """Check the number of a fold.

    Raises:
        ConfigError: It is not one of 0 to folds - 1, or `folds` is below 2.
    """
    if isinstance(folds, bool) or not isinstance(folds, int) or folds < 2:
        raise ConfigError(f"data.folds={folds}: at least 2 folds are needed, one of them for the test.")
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
    """Split N samples into folds, each the test once, `repeats` times with other folds.

    Args:
        labels: As in `split_indices`.
        folds: Number of folds.
        val_fraction: Share of all samples for validation.
        seed: Seed of the folds.
        groups: As in `split_indices`.
        repeats: Number of repeats.
        only: Column to compute; the others stay UNUSED.

    Returns:
        uint8 (N, repeats * folds), column repeat * folds + fold.

    Raises:
        ConfigError: `val_fraction` leaves no training samples.
        DataError: There are too few samples or groups.
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
    """Split N samples by `split_indices`; return uint8 (N, 1), as one column of `deal_folds`.

    Raises:
        DataError: There are too few samples or groups.
    """
    found = split_indices(labels, fractions=fractions, seed=seed, groups=groups, size_weight=_SIZE_WEIGHT)
    return as_sides(found, len(labels))


def as_sides(indices: Mapping[str, IndexArray], count: int) -> Sides:
    """Return the indices of each split as uint8 (count, 1)."""
    sides = np.full((count, 1), UNUSED, dtype=np.uint8)
    for name, members in indices.items():
        sides[members, 0] = SPLITS.index(name)
    return sides


# From sides to splits


def assign(whole: Samples, sides: Sides, *, like: Splits) -> Splits:
    """Return `whole` in the splits that `sides` (N,) gives, with the classes, task and notes of `like`.

    Notes of `like` on its own splits are replaced by those on these. A split without samples is None.
    """
    found = {name: np.flatnonzero(sides == side) for side, name in enumerate(SPLITS)}
    parts = {name: whole.subset(indices) for name, indices in found.items() if len(indices)}
    kept = [note for note in like.notes if note.code not in _ABOUT_SPLIT]
    notes = [*kept, *split_notes(parts, like.class_names)]
    train, val, test = (parts.get(name) for name in SPLITS)
    return replace(like, train=train, val=val, test=test, notes=tuple(notes))
