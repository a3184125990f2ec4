"""AUROC and average precision of one ranking under many weightings of its rows at once.

Rows are sorted once. The distinct scores of the positives cut the ranking into bands: rows with that score, and rows
between two of them. The weights of the bands are a product of a sparse 0-1 matrix with the weights (N, B); both areas
follow from sums over bands. Rows below the lowest positive change neither area and are skipped: with a good classifier
these are most of them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Bands", "make_bands"]

FloatArray = NDArray[np.float64]
TINY = np.finfo(np.float64).tiny
MAX_CELLS = 20_000_000  # numbers in a temporary array: 160 MB


@dataclass(frozen=True)
class Bands:
    """The bands of a ranking with m distinct scores of positives, lowest first.

    Attributes:
        all_rows: Sparse (2m, N): band t has the rows with the t-th score, band m + t those between it and the next.
        positive_rows: Sparse (m, N), the positives of band t. A row may occur more than once in both.
        is_mixed: Whether there are both positives and negatives.
    """

    all_rows: Any
    positive_rows: Any
    is_mixed: bool

    def areas(self, weights: FloatArray, total: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return AUROC and average precision (B,) for weights (N, B); `total` (B,): the weight of all entries.

        NaN where the weight of the positives, or for AUROC of the negatives, is zero.
        """
        num_bands, count = self.all_rows.shape[0], weights.shape[1]
        step = max(1, MAX_CELLS // max(num_bands, 1))
        parts = [
            self._areas(weights[:, start : start + step], total[start : start + step])
            for start in range(0, count, step)
        ]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def _areas(self, weights: FloatArray, total: FloatArray) -> tuple[FloatArray, FloatArray]:
        if not self.all_rows.shape[0]:
            return np.full(len(total), np.nan), np.full(len(total), np.nan)
        everyone = self.all_rows @ weights
        equal, between = np.split(everyone, 2)
        positives = self.positive_rows @ weights
        between += equal
        passed = np.cumsum(between[::-1], axis=0)[::-1]  # weight that scores at least as high as each positive's score
        found = np.cumsum(positives[::-1], axis=0)[::-1]
        num_positive = found[0].copy()
        # Negatives with a higher score count fully, ties half. In place: memory traffic dominates the time.
        ahead = equal
        ahead -= positives
        ahead *= -0.5
        ahead += passed
        ahead -= found
        np.maximum(passed, TINY, out=passed)  # where nothing passed, nothing is found
        precision = np.divide(found, passed, out=found)
        with np.errstate(divide="ignore", invalid="ignore"):
            average_precision = np.einsum("tb,tb->b", positives, precision) / num_positive
            auroc = 1 - np.einsum("tb,tb->b", positives, ahead) / (num_positive * (total - num_positive))
        if not self.is_mixed:
            auroc = np.full(len(total), np.nan)
        return np.where(np.isfinite(auroc), auroc, np.nan), np.where(num_positive > 0, average_precision, np.nan)


def make_bands(scores: FloatArray, is_positive: NDArray[np.bool_], *, rows: NDArray[np.int64] | None = None) -> Bands:
    """Return the bands of M scores, higher meaning more likely positive.

    Args:
        scores: (M,).
        is_positive: (M,).
        rows: int64 (M,), the row of the weights of each score; None: score i has row i.
    """
    from scipy.sparse import csr_array

    rows = np.arange(len(scores)) if rows is None else rows
    num_rows = int(rows.max()) + 1
    own = scores[is_positive]
    levels, level = np.unique(own, return_inverse=True)
    is_reached = scores >= levels[0] if len(levels) else np.zeros(len(scores), dtype=bool)
    reached = scores[is_reached]
    place = np.searchsorted(levels, reached, "right") - 1
    band = np.where(levels[place] == reached, place, place + len(levels))

    def gather(places: NDArray[np.int64], entries: NDArray[np.int64], height: int) -> Any:
        order = np.argsort(places, kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(places, minlength=height))])
        ones = np.ones(len(places))
        return csr_array((ones, entries[order], starts), shape=(height, num_rows))

    return Bands(
        all_rows=gather(band, rows[is_reached], 2 * len(levels)),
        positive_rows=gather(level.ravel(), rows[is_positive], len(levels)),
        is_mixed=0 < len(own) < len(scores),
    )
