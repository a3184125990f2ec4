"""Areas under the PR and ROC curves of a ranking, means that ignore NaN, and class names in a note."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imgrec.core.text import listed

__all__ = ["Ranking", "mean_defined", "name_some", "rank", "rank_classes"]

FloatArray = NDArray[np.float64]
NAMES_IN_A_NOTE = 10


def mean_defined(values: FloatArray) -> float:
    """Return the mean of the values that are not NaN; NaN when there is none."""
    is_defined = ~np.isnan(values)
    return float(values[is_defined].mean()) if is_defined.any() else float("nan")


@dataclass(frozen=True)
class Ranking:
    """Counts at the threshold of each of P positives among N scores, highest first.

    Thresholds between those of positives add no recall, so the steps through (recall, precision) enclose exactly the
    average precision. Ties pass together.

    Attributes:
        found: int64 (P,), positives that score at least as high.
        passed: int64 (P,), all that score at least as high.
        found_above: int64 (P,), positives that score higher.
        passed_above: int64 (P,), all that score higher.
        num_negatives: N - P.
    """

    found: NDArray[np.int64]
    passed: NDArray[np.int64]
    found_above: NDArray[np.int64]
    passed_above: NDArray[np.int64]
    num_negatives: int

    @property
    def recall(self) -> FloatArray:
        """float64 (P,), ascending to 1."""
        return self.found / max(len(self.found), 1)

    @property
    def precision(self) -> FloatArray:
        """float64 (P,), in (0, 1]."""
        return self.found / self.passed

    @property
    def average_precision(self) -> float:
        """Sum over thresholds of (gain in recall) x precision: the mean of `precision`. NaN without positives."""
        return float(self.precision.mean()) if len(self.found) else float("nan")

    @property
    def auroc(self) -> float:
        """P(a positive outranks a negative) + 1/2 P(equal) (Mann-Whitney). NaN unless there are both kinds."""
        num_pairs = len(self.found) * self.num_negatives
        if not num_pairs:
            return float("nan")
        negatives_ahead = (self.passed - self.found).sum() + (self.passed_above - self.found_above).sum()
        return float(1 - negatives_ahead / (2 * num_pairs))


def rank(scores: FloatArray, is_positive: NDArray[np.bool_]) -> Ranking:
    """Rank N scores, higher meaning more likely positive.

    Sorts values, not indices, and looks up the positives only: much faster with many classes.
    """
    positives, everyone = np.sort(scores[is_positive]), np.sort(scores)
    best_first = positives[::-1]
    return Ranking(
        found=len(positives) - np.searchsorted(positives, best_first, side="left"),
        passed=len(everyone) - np.searchsorted(everyone, best_first, side="left"),
        found_above=len(positives) - np.searchsorted(positives, best_first, side="right"),
        passed_above=len(everyone) - np.searchsorted(everyone, best_first, side="right"),
        num_negatives=len(everyone) - len(positives),
    )


def rank_classes(probabilities: FloatArray, is_positive: NDArray[np.bool_]) -> list[Ranking]:
    """Rank each column of probabilities (N, C) against its own column of labels (N, C), one class against the rest."""
    columns = zip(probabilities.T, is_positive.T, strict=True)
    return [rank(np.ascontiguousarray(scores), is_own) for scores, is_own in columns]


def name_some(class_names: Sequence[str], chosen: NDArray[np.bool_]) -> str:
    """Return the chosen class names as part of a note: `2 classes: ant, bee`; long lists are cut and counted."""
    names = [name for name, is_chosen in zip(class_names, chosen, strict=True) if is_chosen]
    return f"{len(names)} class{'es' * (len(names) > 1)}: {listed(names, limit=NAMES_IN_A_NOTE)}"
