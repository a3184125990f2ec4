"""Operating points: per-class thresholds that reach a wanted sensitivity or specificity."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from imgrec.evaluation.decisions.probabilities import FloatArray

__all__ = ["Measure", "OperatingPoint", "fit_threshold"]

Measure = Literal["sensitivity", "specificity"]


@dataclass(frozen=True)
class OperatingPoint:
    """Predict a class where its probability is at or above its threshold.

    Attributes:
        measure: `"sensitivity"` (share of the positives that are predicted positive) or `"specificity"` (share of the
            negatives that are predicted negative).
        target: Value of `measure` to reach, for each class.
        thresholds: One per class; None where the class was not selected or has too few images.
        num_samples: Number of images that they were fitted on.
    """

    measure: Literal["sensitivity", "specificity"]
    target: float
    thresholds: tuple[float | None, ...]
    num_samples: int

    def positive(self, probabilities: FloatArray) -> NDArray[np.bool_]:
        """Return bool (N, C): which classes are predicted for each image; never one without a threshold."""
        limits = np.array([np.inf if limit is None else limit for limit in self.thresholds])
        return np.asarray(probabilities >= limits)


def fit_threshold(
    scores: FloatArray, is_positive: NDArray[np.bool_], *, measure: Measure, target: float
) -> float | None:
    """Return the threshold that maximizes the other measure while this one reaches its target.

    Conservative by one image: of n positives, floor((n + 1) * (1 - target)) - 1 may be missed. Then the next positive
    is predicted positive with probability `target` or more. Likewise for negatives and specificity.

    Args:
        scores: (N,), probabilities of the class.
        is_positive: (N,), whether the image has the class.
        measure: `"sensitivity"` or `"specificity"`.
        target: In (0, 1).

    Returns:
        The threshold, or None where n is too small (95 % takes 19).
    """
    if measure == "sensitivity":
        own = np.sort(scores[is_positive])
        rank = math.floor((len(own) + 1) * (1 - target) + 1e-9)
        return float(own[rank - 1]) if rank else None
    own = np.sort(scores[~is_positive])[::-1]
    rank = math.floor((len(own) + 1) * (1 - target) + 1e-9)
    if not rank:
        return None
    return float(np.nextafter(own[rank - 1], np.inf))  # positive is "at or above": this negative must stay below
