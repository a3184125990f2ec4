"""Seeded splits of a data set: each class in every split, each group in only one.

The order is drawn from raw PCG64 output, whose stream NumPy guarantees never to change (`Generator.permutation` may):
the same seed gives the same split with every release.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from imgrec.core.keyed_random import lasting_order
from imgrec.errors import DataError

__all__ = ["DEFAULT_FRACTIONS", "IndexArray", "fold_numbers", "split_indices"]

IndexArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

DEFAULT_FRACTIONS: Mapping[str, float] = {"train": 0.8, "val": 0.1, "test": 0.1}
_TINY = 1e-9  # more than rounding of a few fractions, less than one sample of any data set


def split_indices(
    labels: NDArray[np.int64] | NDArray[np.uint8],
    *,
    seed: int,
    fractions: Mapping[str, float] = DEFAULT_FRACTIONS,
    groups: Sequence[str] | None = None,
    size_weight: float = 1.0,
) -> dict[str, IndexArray]:
    """Split N samples by `fractions`, the same way for the same seed.

    Without groups, each split has its exact share of each class, rounded up or down, but at least one sample of a
    class with as many samples as there are splits; the only sample of a class goes to the largest split. Several
    labels: iterative stratification. With groups, sizes come first and class shares second.

    Args:
        labels: int64 (N,) class indices, or uint8 (N, C) of 0 and 1 for several labels per sample.
        seed: Seed of the split.
        fractions: Share of each split, 0 to 1; a rest up to 1 goes into none. A split with share 0 is empty.
        groups: Group of each sample; all samples of a group are in one split.
        size_weight: With groups, a value below 1 allows sizes to differ from their shares where that improves the
            shares of classes.

    Returns:
        Sorted indices of each split.

    Raises:
        DataError: Fractions are negative or sum to more than 1, or there are too few samples or groups.
    """
    names, shares = _check_fractions(fractions)
    _check_count(len(labels), "images", names)
    order = lasting_order(len(labels), seed)
    if groups is not None:
        side = _by_group(labels, groups, names=names, shares=shares, seed=seed, size_weight=size_weight)
    elif labels.ndim == 2:
        side = _by_label_set(labels, shares=shares, order=order)
    else:
        side = _by_class(labels, shares=shares, num_splits=len(names), order=order)
    found = {name: np.flatnonzero(side == place).astype(np.int64) for place, name in enumerate(names)}
    if empty := [name for name in names if len(found[name]) == 0]:
        kind = "images" if groups is None else "groups"
        raise DataError(
            f"No {kind} are left for {', '.join(empty)}: {len(labels)} images hold too few {kind} per class to split "
            f"by {_listed(fractions)}. {_advice(names)}"
        )
    return {name: found.get(name, np.empty(0, dtype=np.int64)) for name in fractions}


def fold_numbers(
    labels: NDArray[np.int64] | NDArray[np.uint8], *, folds: int, seed: int, groups: Sequence[str] | None = None
) -> IndexArray:
    """Assign N samples to folds as equal as possible, the same way for the same seed.

    Without groups, folds differ by one sample at most, in total and in each class; several labels: iterative
    stratification. With groups, class shares come first and sizes second. Unlike in `split_indices`, no fold is
    preferred: a class with fewer samples, or groups, than folds is absent from some.

    Args:
        labels: As in `split_indices`.
        folds: Number of folds.
        seed: Seed of the folds.
        groups: As in `split_indices`.

    Returns:
        int64 (N,), the fold of each sample, 0 to folds - 1.

    Raises:
        DataError: There are fewer samples or groups than folds.
    """
    names = [f"fold {number}" for number in range(folds)]
    shares = np.full(folds, 1 / folds)
    kind, count = ("images", len(labels)) if groups is None else ("groups", len(set(groups)))
    if count < folds:
        raise DataError(
            f"{count} {kind} cannot be split into {folds} folds, of which each needs at least one. "
            f"Use at most {count} folds, or add {kind}."
        )
    if groups is not None:
        return _by_group(
            labels, groups, names=names, shares=shares, seed=seed, size_weight=_SIZE_WEIGHT_OF_FOLDS, is_folds=True
        )
    order = lasting_order(len(labels), seed)
    if labels.ndim == 2:
        return _by_label_set(labels, shares=shares, order=order)
    return _by_class(labels, shares=shares, num_splits=0, order=order)


def _check_fractions(fractions: Mapping[str, float]) -> tuple[list[str], FloatArray]:
    """Return the splits that are not empty and their shares; a last unnamed share is what goes into none."""
    total = sum(fractions.values())
    if min(fractions.values(), default=0.0) < 0 or not _TINY < total <= 1 + _TINY:
        raise DataError(
            f"Fractions {_listed(fractions)} sum to {total:.4g}: each must be 0 or more, and the sum above 0 and at "
            f"most 1."
        )
    names = [name for name, fraction in fractions.items() if fraction > 0]
    shares = [fractions[name] for name in names]
    return names, np.array(shares if 1 - total < _TINY else [*shares, 1 - total])


def _check_count(count: int, kind: str, names: Sequence[str]) -> None:
    if count < len(names):
        raise DataError(
            f"{count} {kind} cannot be divided into {len(names)} splits ({', '.join(names)}). {_advice(names)}"
        )


def _advice(names: Sequence[str]) -> str:
    return f"Add images{', or set the fraction of test to 0 (training needs val)' if 'test' in names else ''}."


def _listed(fractions: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {fraction:g}" for name, fraction in fractions.items())


# One label per sample


def _by_class(labels: NDArray[np.generic], *, shares: FloatArray, num_splits: int, order: IndexArray) -> IndexArray:
    by_class = order[np.argsort(labels[order], kind="stable")]
    borders = np.flatnonzero(np.diff(labels[by_class])) + 1
    side = np.empty(len(labels), dtype=np.int64)
    carry = np.zeros(len(shares))  # rounding errors so far, so that sizes of whole splits are kept too
    for members in np.split(by_class, borders):
        counts = _apportion(len(members), shares=shares, carry=carry, num_splits=num_splits)
        carry += len(members) * shares - counts
        side[members] = np.repeat(np.arange(len(shares)), counts)
    return side


def _apportion(count: int, *, shares: FloatArray, carry: FloatArray, num_splits: int) -> IndexArray:
    """Divide `count` by the method of largest remainders, with `carry` added to the remainders."""
    exact = count * shares
    counts: IndexArray = np.floor(exact + _TINY).astype(np.int64)
    remainders = exact - counts + carry
    counts[np.argsort(-remainders, kind="stable")[: count - counts.sum()]] += 1
    needy = range(num_splits) if count >= num_splits else [int(np.argmax(shares[:num_splits]))]
    for split in needy:
        if counts[split] == 0:
            counts[np.argmax(counts)] -= 1
            counts[split] = 1
    return counts


# Several labels per sample


def _by_label_set(labels: NDArray[np.generic], *, shares: FloatArray, order: IndexArray) -> IndexArray:
    """Stratify iteratively, the rarest label first. Sechidis et al. 2011 (ECML PKDD), algorithm 1."""
    present = labels.astype(np.int64)
    side = np.full(len(labels), -1, dtype=np.int64)
    left = present.sum(axis=0)  # (C,) samples of each label that have no split yet
    wanted = shares[:, None] * left  # (S, C)
    room = shares * len(labels)  # (S,)
    while left.any():
        rarest = int(np.argmin(np.where(left > 0, left, left.max() + 1)))
        members = order[(side[order] < 0) & (present[order, rarest] > 0)]
        for sample in members:
            split = max(range(len(shares)), key=lambda s: (wanted[s, rarest], room[s]))
            side[sample] = split
            wanted[split] -= present[sample]
            room[split] -= 1
        left -= present[members].sum(axis=0)
    for sample in order[side[order] < 0]:  # without any label
        side[sample] = split = int(np.argmax(room))
        room[split] -= 1
    return side


# Groups

_SIZE = 0  # column of a group's size in `_Balance`; class c is column c + 1
_SIZE_WEIGHT_OF_FOLDS = 0.1  # their shares are equal, so balanced classes give balanced sizes
Counts = tuple[IndexArray, IndexArray]  # the columns that a group has anything in, and how much


def _by_group(
    labels: NDArray[np.generic],
    groups: Sequence[str],
    *,
    names: Sequence[str],
    shares: FloatArray,
    seed: int,
    size_weight: float,
    is_folds: bool = False,
) -> IndexArray:
    """Place the groups one by one, the largest first, each where the cost of `_Balance` is lowest.

    With `is_folds`, sizes are compared by half powers of two only, so that seeds matter where all sizes differ; and no
    split is preferred for a rare class.
    """
    group_names, group_of = np.unique(np.asarray(groups), return_inverse=True)
    _check_count(len(group_names), "groups", names)
    sizes = np.bincount(group_of)
    members = np.split(np.argsort(group_of, kind="stable"), np.cumsum(sizes)[:-1])
    counts = [_count(labels[indices]) for indices in members]
    balance = _Balance(counts, shares=shares, num_splits=len(names), size_weight=size_weight)
    if is_folds:
        balance.largest = None
        sizes = np.frexp(sizes.astype(np.float64) ** 2)[1]
    order = lasting_order(len(sizes), seed)
    side = np.empty(len(labels), dtype=np.int64)
    for group in order[np.argsort(-sizes[order], kind="stable")]:
        side[members[group]] = balance.place(*counts[group])
    return side


def _count(labels: NDArray[np.generic]) -> Counts:
    if labels.ndim == 2:
        per_class = labels.astype(np.int64).sum(axis=0)
        classes = np.flatnonzero(per_class)
        amounts = per_class[classes]
    else:
        classes, amounts = np.unique(labels.astype(np.int64), return_counts=True)
    return np.concatenate(([_SIZE], classes + 1)), np.concatenate(([len(labels)], amounts))


class _Balance:
    """Number of samples of each class, and of all, in each split, against its share.

    The cost of a placement is what it adds to the sum of (have - target)^2 / target over classes and size; the size
    has `size_weight` times the weight of all classes together. Two rules precede the cost: the `largest` split, if any,
    gets the last group of a class that it would lack, and the last groups go to splits that have none.
    """

    def __init__(self, counts: Sequence[Counts], *, shares: FloatArray, num_splits: int, size_weight: float) -> None:
        num_columns = 1 + max(int(columns.max()) for columns, _ in counts)
        totals = np.zeros(num_columns)
        self.groups_left = np.zeros(num_columns, dtype=np.int64)
        for columns, amounts in counts:
            totals[columns] += amounts
            self.groups_left[columns] += 1
        self.target = shares[:, None] * totals  # (S, 1 + C)
        self.have = np.zeros_like(self.target)
        self.weights = np.ones(num_columns)
        self.weights[_SIZE] = (np.count_nonzero(totals) - 1) * size_weight
        self.num_splits = num_splits
        self.largest: int | None = int(np.argmax(shares[:num_splits]))

    def place(self, columns: IndexArray, amounts: IndexArray) -> int:
        """Return the split of a group with these counts, and count it there."""
        choices = self._choices(columns)
        target = self.target[choices][:, columns]
        excess = self.have[choices][:, columns] - target
        cost = (self.weights[columns] * amounts * (2 * excess + amounts) / target).sum(axis=1)
        split = choices[int(np.argmin(cost))]
        self.have[split, columns] += amounts
        self.groups_left[columns] -= 1
        return split

    def _choices(self, columns: IndexArray) -> list[int]:
        if self.largest is not None and np.any(
            (self.groups_left[columns] == 1) & (self.have[self.largest, columns] == 0)
        ):
            return [self.largest]
        empty = [split for split in range(self.num_splits) if self.have[split, _SIZE] == 0]
        if self.groups_left[_SIZE] <= len(empty):
            return empty
        return list(range(len(self.have)))
