"""Folds for judging labels: images that belong together are judged together, by images that do not."""

from collections.abc import Sequence

import numpy as np

from imgrec.auditing.labels.features import IntArray
from imgrec.auditing.scan.facts import FactsTable
from imgrec.core.text import listed
from imgrec.data.splits.groups import merge_groups

__all__ = ["judged_rows", "make_folds", "unite"]


def unite(*names: Sequence[str] | None, count: int) -> IntArray:
    """Give each set of rows that hang together a number; what hangs together has a name in common, "" is no name.

    names: of each kind (group, duplicate), one name per row, or None. Returns: int64 (count,).
    """
    rows = [f"{row:09}" for row in range(count)]
    groupings = [
        [f"{name}." if name else f"{row}" for row, name in zip(rows, column, strict=True)] for column in names if column
    ]
    _, number = np.unique(merge_groups(*groupings, called=rows), return_inverse=True)
    return number.astype(np.int64)


def judged_rows(facts: FactsTable, units: IntArray, *, folds: int) -> tuple[IntArray, list[str]]:
    """Return the rows whose label can be judged, int64 (M,), and notes about classes that are left out.

    A label needs a usable image and a class with at least `folds` units (a unit: images that stay together); the
    class has to be in the folds that judge as well as in the one that is judged. Fewer than 2 such classes: no rows.
    """
    usable = np.flatnonzero(facts.is_usable & (facts.label >= 0))
    pairs = np.unique(np.stack([facts.label[usable], units[usable]]), axis=1)
    num_units = np.bincount(pairs[0], minlength=len(facts.class_names))
    enough = num_units >= folds
    notes = []
    if few := [
        name for name, ok, number in zip(facts.class_names, enough, num_units, strict=True) if number and not ok
    ]:
        notes.append(f"Labels of {listed(few)} are not judged: fewer than {folds} images that are no duplicates.")
    if enough.sum() < 2:
        notes.append(f"No label is judged: {int(enough.sum())} classes have {folds} or more different images.")
        return np.empty(0, dtype=np.int64), notes
    return usable[enough[facts.label[usable]]].astype(np.int64), notes


def make_folds(labels: IntArray, units: IntArray, *, folds: int, seed: int) -> IntArray:
    """Put each unit into one of `folds` folds, so that each fold has about its share of each class.

    labels, units: int64 (M,). Units of one image are dealt out class by class; larger ones before, each to the fold
    that has least of its classes. Returns: int64 (M,), 0 to folds - 1, the same for the same seed.
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
    """Return a fold for each of `number` cards, always the one with the fewest, the fold with fewest first."""
    level = have.copy()
    places = np.empty(number, dtype=np.int64)
    for card in range(number):
        places[card] = int(np.argmin(level))
        level[places[card]] += 1
    return places
