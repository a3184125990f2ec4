"""Folds for judging labels: duplicates and images of one group are in the same fold."""

from collections.abc import Sequence

import numpy as np

from imgrec.auditing.labels.features import IntArray
from imgrec.auditing.scan.facts import FactsTable
from imgrec.core.text import listed
from imgrec.data.splits.groups import merge_groups

__all__ = ["judged_rows", "make_folds", "unite"]


def unite(*names: Sequence[str] | None, count: int) -> IntArray:
    """Return the number of the unit of each row, int64 (count,). Rows with a name in common are in one unit.

    Args:
        *names: Per kind (group, duplicate) a name per row, "" for none; or None.
        count: Number of rows.
    """
    rows = [f"{row:09}" for row in range(count)]
    groupings = [
        [f"{name}." if name else f"{row}" for row, name in zip(rows, column, strict=True)] for column in names if column
    ]
    _, number = np.unique(merge_groups(*groupings, called=rows), return_inverse=True)
    return number.astype(np.int64)


def judged_rows(facts: FactsTable, units: IntArray, *, folds: int) -> tuple[IntArray, list[str]]:
    """Return the rows whose label can be judged, int64 (M,), and notes about excluded classes.

    Such a row has a usable image and a class with at least `folds` units, so that every fold has training images of the
    class. With fewer than two such classes there are no rows.
    """
    usable = np.flatnonzero(facts.is_usable & (facts.label >= 0))
    pairs = np.unique(np.stack([facts.label[usable], units[usable]]), axis=1)
    num_units = np.bincount(pairs[0], minlength=len(facts.class_names))
    enough = num_units >= folds
    notes = []
    if few := [
        name for name, ok, number in zip(facts.class_names, enough, num_units, strict=True) if number and not ok
    ]:
        notes.append(f"Labels of {listed(few)} are not judged: fewer than {folds} images that are not duplicates.")
    if enough.sum() < 2:
        notes.append(
            f"No label is judged: {int(enough.sum())} classes have at least {folds} images that are not duplicates."
        )
        return np.empty(0, dtype=np.int64), notes
    return usable[enough[facts.label[usable]]].astype(np.int64), notes


def make_folds(labels: IntArray, units: IntArray, *, folds: int, seed: int) -> IntArray:
    """Return stratified folds that keep units together: int64 (M,), 0 to folds - 1, the same for the same seed.

    Units of several images come first, the largest first, each to the fold with the fewest images of its classes; then
    single images, class by class.

    Args:
        labels: int64 (M,).
        units: int64 (M,), see `unite`.
        folds: Number of folds.
        seed: Of the order.
    """
    _, labels = np.unique(labels, return_inverse=True)
    _, unit, sizes = np.unique(units, return_inverse=True, return_counts=True)
    rng = np.random.default_rng(seed)
    fold = np.full(len(labels), -1, dtype=np.int64)
    have = np.zeros((folds, labels.max() + 1))  # images of each class in each fold
    members = np.split(np.argsort(unit, kind="stable"), np.cumsum(sizes)[:-1])
    large = rng.permutation(np.flatnonzero(sizes > 1))
    for one in large[np.argsort(-sizes[large], kind="stable")]:
        counts = np.bincount(labels[members[one]], minlength=have.shape[1])
        present = counts > 0
        place = int(np.argmin(have[:, present] @ counts[present] + 1e-6 * have.sum(axis=1)))
        fold[members[one]] = place
        have[place] += counts
    for label in range(have.shape[1]):
        alone = rng.permutation(np.flatnonzero((fold < 0) & (labels == label)))
        fold[alone] = _deal(len(alone), have[:, label])
    return fold


def _deal(number: int, have: np.ndarray) -> IntArray:
    """Return a fold for each of `number` images, always the one with the fewest."""
    level = have.copy()
    places = np.empty(number, dtype=np.int64)
    for index in range(number):
        places[index] = int(np.argmin(level))
        level[places[index]] += 1
    return places
