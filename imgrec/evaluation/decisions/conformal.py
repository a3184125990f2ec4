"""Conformal prediction sets (split conformal): LAC and APS.

The guarantee is marginal: for images exchangeable with those the rule was fitted on, averaged over all of them; not
for each class or kind of image. Introduction: Angelopoulos and Bates 2023, arXiv:2107.07511.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from imgrec.evaluation.decisions.probabilities import FloatArray, Task

__all__ = ["ConformalRule", "Method", "fewest_samples", "fit_conformal", "mass_before"]

Method = Literal["lac", "aps"]


@dataclass(frozen=True)
class ConformalRule:
    """A fitted conformal predictor.

    Attributes:
        method: `"lac"`: classes with a probability of `threshold` or more; the smallest sets on average, some may be
            empty (Sadinle et al. 2019, arXiv:1609.00451). `"aps"`: classes in falling order of probability while those
            before sum to at most `threshold`; never empty, larger for hard images (Romano et al. 2020,
            arXiv:2006.02544, without randomization, so that an image always gets the same set).
        coverage: The guarantee: the set contains the true class with at least this probability. With several labels
            per image: on average at least this share of an image's labels is in the set.
        threshold: Calibrated on `num_samples` images.
        num_samples: Number of images that it was fitted on.
    """

    method: Literal["lac", "aps"]
    coverage: float
    threshold: float
    num_samples: int

    def sets(self, probabilities: FloatArray) -> NDArray[np.bool_]:
        """Return bool (N, C): the prediction set of each image, from probabilities (N, C)."""
        if self.method == "lac":
            return np.asarray(probabilities >= self.threshold)
        return np.asarray(mass_before(probabilities) <= self.threshold)


def fit_conformal(
    probabilities: FloatArray, labels: NDArray[Any], *, task: Task, method: Method, coverage: float
) -> ConformalRule:
    """Fit a rule on N >= `fewest_samples(coverage)` images.

    The threshold covers ceil((N + 1) * coverage) of the true classes, which makes the guarantee hold for the next
    image at any N (Vovk et al. 2005).

    Args:
        probabilities: (N, C).
        labels: int64 (N,); with several labels per image 0/1 (N, C), not all 0.
        task: `"single"` or `"multilabel"`.
        method: `"lac"` or `"aps"`; several labels: `"lac"` only.
        coverage: In (0, 1).
    """
    total = len(labels)
    assert total >= fewest_samples(coverage)
    if task == "multilabel":
        assert method == "lac"
        threshold = _risk_control(probabilities, labels, coverage=coverage)
    elif method == "lac":
        own = np.sort(probabilities[np.arange(total), labels])
        threshold = float(own[total - needed(total, coverage)])
    else:
        before = np.sort(mass_before(probabilities)[np.arange(total), labels])
        threshold = float(before[needed(total, coverage) - 1])
    return ConformalRule(method, coverage, threshold, total)


def needed(total: int, coverage: float) -> int:
    """Return for how many of `total` images the set must contain the true class: the (1 + 1/n) quantile."""
    return math.ceil((total + 1) * coverage - 1e-9)  # 0.95 * 20 is 19.000000000000004 in some orders


def fewest_samples(coverage: float) -> int:
    """Return the fewest images from which this coverage can be guaranteed: 19 for 95 %."""
    return math.ceil(coverage / (1 - coverage) - 1e-9)


def mass_before(probabilities: FloatArray) -> FloatArray:
    """Return (N, C): the total probability of the classes that rank before each class; ties in class order."""
    order = np.argsort(-probabilities, axis=1, kind="stable")
    ranked = np.take_along_axis(probabilities, order, axis=1)
    before = np.zeros_like(ranked)
    np.cumsum(ranked[:, :-1], axis=1, out=before[:, 1:])
    result = np.empty_like(before)
    np.put_along_axis(result, order, before, axis=1)
    return result


def _risk_control(probabilities: FloatArray, labels: NDArray[Any], *, coverage: float) -> float:
    """Return the largest threshold at which the mean share of missed labels is below what n images allow.

    Conformal risk control (Angelopoulos et al. 2024, arXiv:2208.02814, eq. 4): n / (n + 1) * missed + 1 / (n + 1) is
    at most 1 - coverage. An image without labels misses none.
    """
    total, is_true = len(labels), labels == 1
    share = 1 / np.maximum(is_true.sum(axis=1), 1)
    own = probabilities[is_true]
    weight = np.broadcast_to(share[:, None], labels.shape)[is_true]  # what missing this label adds to the sum
    order = np.argsort(own, kind="stable")
    missed_below = np.concatenate([[0.0], np.cumsum(weight[order])])  # by a threshold above so many sorted labels
    allowed = (1 - coverage) * (total + 1) - 1 + 1e-9
    candidates = own[order]
    first = np.searchsorted(candidates, candidates, side="left")  # a threshold at p misses what is strictly below p
    passing = missed_below[first] <= allowed
    return float(candidates[passing].max())
