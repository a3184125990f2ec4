"""Accuracy or micro F1 of any subset of images, its interval, and its difference from another subset.

One label per image: accuracy, a proportion. Several labels: F1 over all labels of the subset (micro), a ratio of two
sums over images. Both are sum(part) / sum(whole).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imgrec.evaluation.predictions.predictions import Predictions
from imgrec.evaluation.statistics.level import Z
from imgrec.evaluation.statistics.paired import two_sided
from imgrec.evaluation.statistics.proportions import wilson

__all__ = ["Difference", "Estimate", "Shares", "independence_notes", "shares", "shares_of"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Estimate:
    """A metric of n images with its interval; all NaN where the metric is undefined.

    Attributes:
        value: The metric.
        low: Lower end of the 95 % interval.
        high: Upper end.
        num_samples: Number of images.
        num_correct: Number of correct predictions; None for F1.
    """

    value: float
    low: float
    high: float
    num_samples: int
    num_correct: int | None


@dataclass(frozen=True)
class Difference:
    """The difference of two estimates, its 95 % interval, and the p-value of no difference."""

    difference: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True)
class Shares:
    """What each of N images adds to the metric sum(part) / sum(whole).

    Attributes:
        name: `"accuracy"` or `"micro_f1"`.
        part: (N,), numerators.
        whole: (N,), denominators.
    """

    name: str
    part: FloatArray
    whole: FloatArray

    def estimate(self, chosen: BoolArray | None = None) -> Estimate:
        """Return the metric of the images where `chosen` (N,) is true, or of all."""
        part, whole = (self.part, self.whole) if chosen is None else (self.part[chosen], self.whole[chosen])
        if not whole.sum():
            return Estimate(np.nan, np.nan, np.nan, len(part), 0 if self.is_proportion else None)
        if self.is_proportion:
            low, high = wilson(part.sum(), len(part))
            return Estimate(float(part.mean()), float(low), float(high), len(part), int(part.sum()))
        value, half = float(part.sum() / whole.sum()), Z * _ratio_error(part, whole)
        return Estimate(value, max(value - half, 0.0), min(value + half, 1.0), len(part), None)

    @property
    def is_proportion(self) -> bool:
        """Whether each image counts as 0 or 1."""
        return self.name == "accuracy"

    def compare(self, chosen: BoolArray) -> Difference:
        """Return how the metric of `chosen` (N,) differs from that of all other images.

        Accuracy: interval by Newcombe 1998, "Interval estimation for the difference between independent proportions",
        method 10; p-value by Fisher's exact test, two-sided. F1: normal approximation of the two ratios.
        """
        one, rest = self.estimate(chosen), self.estimate(~chosen)
        difference = one.value - rest.value
        if np.isnan(difference):
            return Difference(np.nan, np.nan, np.nan, np.nan)
        if self.is_proportion:
            below = np.hypot(one.value - one.low, rest.high - rest.value)
            above = np.hypot(one.high - one.value, rest.value - rest.low)
            return Difference(difference, float(difference - below), float(difference + above), _fisher(one, rest))
        errors = [_ratio_error(self.part[side], self.whole[side]) for side in (chosen, ~chosen)]
        error = float(np.hypot(errors[0], errors[1]))
        p_value = two_sided(difference, error**2, np.inf)
        return Difference(difference, difference - Z * error, difference + Z * error, p_value)


def independence_notes(predictions: Predictions) -> list[str]:
    """Return the warning about intervals that assume independent images, where images come in groups."""
    if predictions.groups is None or len(set(predictions.groups)) == len(predictions):
        return []
    return ["Intervals and tests assume independent images; with groups the intervals are too narrow."]


def shares_of(predictions: Predictions) -> Shares:
    """Return what each image of a table adds to its metric."""
    return shares(predictions.labels, predictions.predicted)


def shares(labels: NDArray[np.generic], predicted: NDArray[np.generic]) -> Shares:
    """Return what each image adds to its metric: labels and predictions as indices (N,), or 0 and 1 (N, C)."""
    if labels.ndim == 1:
        return Shares("accuracy", (labels == predicted).astype(np.float64), np.ones(len(labels)))
    is_actual, is_predicted = labels == 1, predicted == 1
    hits, named = is_actual & is_predicted, is_actual.sum(axis=1) + is_predicted.sum(axis=1)
    return Shares("micro_f1", 2.0 * hits.sum(axis=1), named.astype(np.float64))


def _ratio_error(part: FloatArray, whole: FloatArray) -> float:
    """Return the standard error of sum(part) / sum(whole). Cochran 1977, "Sampling techniques", equation 6.4."""
    if len(part) < 2:
        return np.inf
    residuals = part - part.sum() / whole.sum() * whole
    return float(np.sqrt((residuals**2).sum() / (len(part) - 1) / len(part)) / whole.mean())


def _fisher(one: Estimate, rest: Estimate) -> float:
    from scipy.stats import fisher_exact

    assert one.num_correct is not None
    assert rest.num_correct is not None
    correct = one.num_correct, rest.num_correct
    return float(fisher_exact([correct, [one.num_samples - correct[0], rest.num_samples - correct[1]]]).pvalue)
