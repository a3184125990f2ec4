"""The most similar image of the same class, by the correlation of thumbnails."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from imgrec.auditing.scan.facts import FactsTable

__all__ = ["FloatArray", "nearest_of_class", "standardized"]

WINDOW = 100  # consecutive images by name: sampling windows keeps groups whole
MAX_PER_CLASS, MAX_IMAGES = 2000, 20_000  # compared

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float32]


def nearest_of_class(facts: FactsTable, keys: Sequence[str], *, seed: int) -> tuple[IntArray, IntArray]:
    """Return sampled rows (n,) and for each its most similar row of the same class and sample (n,)."""
    usable = np.flatnonzero(facts.is_usable & (facts.label >= 0))
    classes = np.unique(facts.label[usable])
    limit = max(3, min(MAX_PER_CLASS, MAX_IMAGES // max(len(classes), 1)))
    rng = np.random.default_rng(seed)
    rows, nearest = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for label in rng.permutation(classes)[: MAX_IMAGES // limit]:
        members = np.array(sorted(usable[facts.label[usable] == label], key=lambda row: keys[row]), dtype=np.int64)
        members = _windows(members, limit, rng)
        if len(members) < 3:
            continue
        likeness = (unit := standardized(facts, members)) @ unit.T
        np.fill_diagonal(likeness, -np.inf)
        rows.append(members)
        nearest.append(members[likeness.argmax(axis=1)])
    return np.concatenate(rows), np.concatenate(nearest)


def _windows(members: IntArray, limit: int, rng: np.random.Generator) -> IntArray:
    """Return at most `limit` of the members, in random windows of 100 consecutive ones."""
    if len(members) <= limit:
        return members
    width = min(WINDOW, limit)
    starts = rng.permutation(np.arange(0, len(members) - width + 1, width))[: limit // width]
    return np.concatenate([members[start : start + width] for start in np.sort(starts)])


def standardized(facts: FactsTable, rows: IntArray) -> FloatArray:
    """Return thumbnails as vectors of mean 0 and length 1, so that a product is a correlation: float32 (n, 1024)."""
    flat = facts.thumbnail[rows].reshape(len(rows), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-3), dtype=np.float32)
