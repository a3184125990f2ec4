"""Named operating points: for each class a threshold at which its sensitivity or its specificity is as wanted."""

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
    """Call an image positive for a class where the class's probability is at or above its threshold.

    measure, target: what was wanted: this sensitivity (share of the positives that are called so), or this specificity
        (share of the negatives that are not), of each class.
    thresholds: one per class; None where the class has none: not asked for, or too few images of one side.
    num_samples: images that they were fitted on.
    """

    measure: Literal["sensitivity", "specificity"]
    target: float
    thresholds: tuple[float | None, ...]
    num_samples: int

    def positive(self, probabilities: FloatArray) -> NDArray[np.bool_]:
        """Return (N, C): which classes each image is called positive for; never for one without a threshold."""
        limits = np.array([np.inf if limit is None else limit for limit in self.thresholds])
        return np.asarray(probabilities >= limits)


def fit_threshold(
    scores: FloatArray, is_positive: NDArray[np.bool_], *, measure: Measure, target: float
) -> float | None:
    """Return the threshold that gives the other measure most while this one reaches its target, or None.

    Taken one image to the safe side: of n positives, floor((n + 1) * (1 - target)) - 1 may be missed. Then the next
    positive is called so with probability `target` or more, which the plain share of n would not give. None: n is too
    small for that (19 are needed for 95 %). Likewise for negatives and specificity.

    scores: (N,) probabilities of the class. is_positive: (N,).
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
