"""Bootstrap weights: how often each row of a test set counts in each of B resamples.

A resample draws units with replacement within each stratum. Without groups the unit is the row and the stratum its
class: the class frequencies of the test set are kept, as in stratified splits. With groups (patients, videos) the unit
is the group.

From m units of a stratum m - 1 are drawn and count m / (m - 1) times (Rao and Wu 1988, JASA 83, section 4). Drawing m
would make each stratum's variance too small by that factor: 20 % for a class with five images.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imgrec.core.keyed_random import generator

__all__ = ["CHUNK", "Design", "cluster_design", "simple_design", "stratified_design"]

CHUNK = 100  # resamples at a time: their weights of 10,000 rows (8 MB) stay near the processor


@dataclass(frozen=True)
class Design:
    """How rows are resampled.

    Attributes:
        kind: Description.
        unit: int64 (N,), the unit of each row, 0 to U - 1.
        stratum: int64 (U,), the stratum of each unit.
    """

    kind: str
    unit: NDArray[np.int64]
    stratum: NDArray[np.int64]

    @property
    def num_units(self) -> int:
        """U, the number of rows, or of groups."""
        return len(self.stratum)

    def chunks(self, resamples: int, *, seed: int) -> Iterator[NDArray[np.float64]]:
        """Yield the weights (N, b) of at most CHUNK resamples at a time, `resamples` in total."""
        for number, start in enumerate(range(0, resamples, CHUNK)):
            random = generator(seed, number)
            of_units = self._draw(min(CHUNK, resamples - start), random)
            yield of_units if self.num_units == len(self.unit) else of_units[self.unit]

    def _draw(self, count: int, random: np.random.Generator) -> NDArray[np.float64]:
        """Return weights (U, count); each column sums to U, and within each stratum to the number of its units."""
        weights = np.ones((self.num_units, count))
        order = np.argsort(self.stratum, kind="stable")
        ends = np.cumsum(np.bincount(self.stratum))
        for members in np.split(order, ends[:-1]):
            m = len(members)
            if m < 2:  # a single unit has no variance
                continue
            cells = random.integers(0, m, (m - 1, count))
            cells *= count
            cells += np.arange(count)
            drawn = np.bincount(cells.ravel(), minlength=m * count).reshape(m, count)
            weights[members] = drawn * (m / (m - 1))
        return weights


def stratified_design(labels: NDArray[np.int64]) -> Design:
    """Return the design for independent rows, labels (N,): rows are drawn class by class."""
    _, stratum = np.unique(labels, return_inverse=True)
    return Design("stratified by class", _numbered(len(labels)), stratum.astype(np.int64))


def simple_design(num_rows: int) -> Design:
    """Return the design for independent rows without a single class (several labels per image)."""
    return Design("rows", _numbered(num_rows), np.zeros(num_rows, dtype=np.int64))


def cluster_design(groups: Sequence[str], labels: NDArray[np.int64] | None) -> Design:
    """Return the design for rows in groups. labels (N,), or None where a row has several.

    If every group has rows of one class only, and each class has two groups or more, groups are drawn class by class.
    """
    _, unit = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    unit = unit.astype(np.int64)
    num_units = int(unit.max()) + 1
    if labels is not None:
        of_unit = np.zeros(num_units, dtype=np.int64)
        of_unit[unit] = labels
        _, stratum, counts = np.unique(of_unit, return_inverse=True, return_counts=True)
        if (of_unit[unit] == labels).all() and counts.min() > 1:
            return Design("groups, stratified by class", unit, stratum.astype(np.int64))
    return Design("groups", unit, np.zeros(num_units, dtype=np.int64))


def _numbered(count: int) -> NDArray[np.int64]:
    return np.arange(count, dtype=np.int64)
