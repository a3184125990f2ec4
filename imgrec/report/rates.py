"""The arithmetic under every score: rates from counts, areas from rankings, and means that leave out the undefined.

A rate whose denominator is zero is undefined: NaN, never 0 or 1. Means are taken over what is defined, which is
scikit-learn's `zero_division=np.nan`. Counts may have any shape, so one function serves classes, samples and totals.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imgrec.report.predictions import visible

__all__ = ["Counts", "Ranking", "average_rates", "mean_defined", "name_some", "rank", "rank_classes", "ratio"]

FloatArray = NDArray[np.float64]
RATES = ("precision", "recall", "f1")
NAMES_IN_A_NOTE = 10


@dataclass(frozen=True)
class Counts:
    """How often labels and predictions name a thing: int64, one entry per class (or sample, or one in all).

    hits: both name it. predicted: the prediction names it. actual: the label names it.
    """

    hits: NDArray[np.int64]
    predicted: NDArray[np.int64]
    actual: NDArray[np.int64]

    def rates(self) -> dict[str, FloatArray]:
        """Return precision, recall and F1, each of the shape of the counts, NaN where undefined."""
        return {
            "precision": ratio(self.hits, self.predicted),
            "recall": ratio(self.hits, self.actual),
            # From counts, not from precision and recall: a class that is there and never predicted has F1 = 0.
            "f1": ratio(2 * self.hits, self.predicted + self.actual),
        }

    def total(self) -> "Counts":
        """Return the counts summed over all entries, shape (1,): the micro average."""
        return Counts(*(np.atleast_1d(counts.sum()) for counts in (self.hits, self.predicted, self.actual)))


def ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> FloatArray:
    """Return part / whole, NaN where the whole is 0."""
    return np.asarray(np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole != 0))


def mean_defined(values: FloatArray, weights: NDArray[np.int64] | None = None) -> float:
    """Return the (weighted) mean of the values that are not NaN; NaN when there is none.

    Weights that are all zero are ignored, as scikit-learn does.
    """
    is_defined = ~np.isnan(values)
    if not is_defined.any():
        return float("nan")
    if weights is None or not weights[is_defined].any():
        return float(values[is_defined].mean())
    return float(np.average(values[is_defined], weights=weights[is_defined]))


def average_rates(per_class: Counts) -> dict[str, dict[str, float]]:
    """Return precision, recall and F1, each as macro, weighted (by how often the class occurs) and micro mean."""
    rates, total = per_class.rates(), per_class.total().rates()
    return {
        name: {
            "macro": mean_defined(rates[name]),
            "weighted": mean_defined(rates[name], per_class.actual),
            "micro": float(total[name][0]),
        }
        for name in RATES
    }


@dataclass(frozen=True)
class Ranking:
    """N scores against P positives: what passes the threshold that each positive's own score sets, best first.

    found, passed: int64 (P,): positives, and all, that score at least as high. found_above, passed_above: strictly
    higher. Equal scores pass together, whatever their order in the table. Other thresholds find no further positive,
    so the steps through (recall, precision) enclose exactly the average precision.
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
        """P(a positive outranks a negative) + 1/2 P(equal) (Mann-Whitney). NaN unless both kinds are there."""
        num_pairs = len(self.found) * self.num_negatives
        if not num_pairs:
            return float("nan")
        negatives_ahead = (self.passed - self.found).sum() + (self.passed_above - self.found_above).sum()
        return float(1 - negatives_ahead / (2 * num_pairs))


def rank(scores: FloatArray, is_positive: NDArray[np.bool_]) -> Ranking:
    """Rank N scores, higher meaning more likely positive.

    Sorts values, not indices, and looks up the positives only: with many classes that is most of the speed.
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
    names = [visible(name) for name, is_chosen in zip(class_names, chosen, strict=True) if is_chosen]
    rest = f" and {len(names) - NAMES_IN_A_NOTE} more" if len(names) > NAMES_IN_A_NOTE else ""
    return f"{len(names)} class{'es' * (len(names) > 1)}: {', '.join(names[:NAMES_IN_A_NOTE])}{rest}"
