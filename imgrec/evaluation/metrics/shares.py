"""The score of any subset of images, its interval, and how it differs from another subset's.

One label per image: accuracy, a plain proportion. Several labels: F1 over all decisions of the subset (micro), which
is a ratio of two sums over images. Both are sum(part) / sum(whole).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imgrec.evaluation.predictions.predictions import Predictions
from imgrec.evaluation.statistics.fisher import fisher_exact
from imgrec.evaluation.statistics.proportions import wilson

__all__ = ["CONFIDENCE_LEVEL", "Difference", "Score", "Shares", "independence_notes", "shares", "shares_of"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
CONFIDENCE_LEVEL = 0.95
Z = 1.959963984540054  # of the normal distribution, two-sided at that level


@dataclass(frozen=True)
class Score:
    """A score of n images with its interval; all NaN where the score is undefined. num_correct: None for F1."""

    score: float
    low: float
    high: float
    num_samples: int
    num_correct: int | None


@dataclass(frozen=True)
class Difference:
    """What one score is above another, with its interval and the p-value of "there is no difference"."""

    difference: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True)
class Shares:
    """What each of N images adds to the score sum(part) / sum(whole). name: `accuracy` or `micro_f1`."""

    name: str
    part: FloatArray
    whole: FloatArray

    def score(self, chosen: BoolArray | None = None) -> Score:
        """Return the score of the images where `chosen` (N,) is true, or of all."""
        part, whole = (self.part, self.whole) if chosen is None else (self.part[chosen], self.whole[chosen])
        if not whole.sum():
            return Score(np.nan, np.nan, np.nan, len(part), 0 if self.is_proportion else None)
        if self.is_proportion:
            low, high = wilson(part.sum(), len(part))
            return Score(float(part.mean()), float(low), float(high), len(part), int(part.sum()))
        score, half = float(part.sum() / whole.sum()), Z * _ratio_error(part, whole)
        return Score(score, max(score - half, 0.0), min(score + half, 1.0), len(part), None)

    @property
    def is_proportion(self) -> bool:
        """Whether each image is right or wrong and nothing between."""
        return self.name == "accuracy"

    def compare(self, chosen: BoolArray) -> Difference:
        """Return how the score of `chosen` (N,) differs from that of the other images; they share none.

        Proportions: interval by Newcombe 1998, "Interval estimation for the difference between independent
        proportions", method 10; p-value by Fisher's exact test, two-sided. F1: both by the normal distribution of the
        two ratios.
        """
        one, rest = self.score(chosen), self.score(~chosen)
        difference = one.score - rest.score
        if np.isnan(difference):
            return Difference(np.nan, np.nan, np.nan, np.nan)
        if self.is_proportion:
            below = np.hypot(one.score - one.low, rest.high - rest.score)
            above = np.hypot(one.high - one.score, rest.score - rest.low)
            return Difference(difference, float(difference - below), float(difference + above), _fisher(one, rest))
        errors = [_ratio_error(self.part[side], self.whole[side]) for side in (chosen, ~chosen)]
        error = float(np.hypot(errors[0], errors[1]))
        p_value = _two_sided(difference / error) if error else float(difference == 0)
        return Difference(difference, difference - Z * error, difference + Z * error, p_value)


def independence_notes(predictions: Predictions) -> list[str]:
    """Return what to say of the intervals here where images come in groups: they take each image for itself."""
    if predictions.groups is None or len(set(predictions.groups)) == len(predictions):
        return []
    return ["Intervals and tests take images as independent; those of one group are alike, so both are bold."]


def shares_of(predictions: Predictions) -> Shares:
    """Return what each image of a table adds to its score."""
    return shares(predictions.labels, predictions.predicted)


def shares(labels: NDArray[np.generic], predicted: NDArray[np.generic]) -> Shares:
    """Return what each image adds to the score: labels and predictions as indices (N,), or 0 and 1 (N, C)."""
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


def _fisher(one: Score, rest: Score) -> float:
    assert one.num_correct is not None
    assert rest.num_correct is not None
    return fisher_exact(one.num_correct, one.num_samples, rest.num_correct, rest.num_samples)


def _two_sided(z: float) -> float:
    from scipy.special import ndtr

    return float(2 * ndtr(-abs(z)))
