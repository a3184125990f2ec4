"""Sets of classes that hold the true one with a guaranteed probability (split conformal prediction).

The guarantee is for images exchangeable with those it was fitted on, on the average over all of them: not for each
class, and not for each kind of image. Angelopoulos and Bates 2023, arXiv:2107.07511, is the introduction.
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
    """Name every class that passes the limit.

    method: "lac": classes with a probability of `limit` or more; the smallest sets on average, and some may be empty
        (Sadinle et al. 2019, arXiv:1609.00451). "aps": classes in falling order of probability for as long as those
        before have at most `limit` together; never empty, and larger for hard images (Romano et al. 2020,
        arXiv:2006.02544, without its random draw, so that an image always gets the same set).
    coverage: the guarantee: the set holds the true class with at least this probability. With several labels per
        image: of the true labels of an image the set holds on average at least this share.
    num_samples: images that it was fitted on.
    """

    method: Literal["lac", "aps"]
    coverage: float
    limit: float
    num_samples: int

    def sets(self, probabilities: FloatArray) -> NDArray[np.bool_]:
        """Return (N, C): which classes the set of each image holds."""
        if self.method == "lac":
            return np.asarray(probabilities >= self.limit)
        return np.asarray(mass_before(probabilities) <= self.limit)


def fit_conformal(
    probabilities: FloatArray, labels: NDArray[Any], *, task: Task, method: Method, coverage: float
) -> ConformalRule:
    """Return the rule, fitted on `fewest_samples(coverage)` images or more, with any label at all.

    With n images the limit is the one that holds the true classes of ceil((n + 1) * coverage) of them, which makes
    the guarantee hold for the next image at any n (Vovk et al. 2005). labels: int64 (N,), or for several 0/1 (N, C).
    """
    total = len(labels)
    assert total >= fewest_samples(coverage)
    if task == "multilabel":
        assert method == "lac"
        limit = _limit_of_missed(probabilities, labels, coverage=coverage)
    elif method == "lac":
        own = np.sort(probabilities[np.arange(total), labels])
        limit = float(own[total - needed(total, coverage)])
    else:
        before = np.sort(mass_before(probabilities)[np.arange(total), labels])
        limit = float(before[needed(total, coverage) - 1])
    return ConformalRule(method, coverage, limit, total)


def needed(total: int, coverage: float) -> int:
    """Return of how many of `total` images the set must hold the true class: the (1 + 1/n) quantile."""
    return math.ceil((total + 1) * coverage - 1e-9)  # 0.95 * 20 is 19.000000000000004 in some orders


def fewest_samples(coverage: float) -> int:
    """Return the fewest images from which this coverage can be guaranteed at all: 19 for 95 %."""
    return math.ceil(coverage / (1 - coverage) - 1e-9)


def mass_before(probabilities: FloatArray) -> FloatArray:
    """Return (N, C): what the classes more probable than this one have together; of equals the first comes first."""
    order = np.argsort(-probabilities, axis=1, kind="stable")
    ranked = np.take_along_axis(probabilities, order, axis=1)
    before = np.zeros_like(ranked)
    np.cumsum(ranked[:, :-1], axis=1, out=before[:, 1:])
    result = np.empty_like(before)
    np.put_along_axis(result, order, before, axis=1)
    return result


def _limit_of_missed(probabilities: FloatArray, labels: NDArray[Any], *, coverage: float) -> float:
    """Return the largest limit under which the mean share of missed labels stays below what n images allow.

    Conformal risk control (Angelopoulos et al. 2024, arXiv:2208.02814, eq. 4): n / (n + 1) * missed + 1 / (n + 1) is
    at most 1 - coverage. An image without labels misses none.
    """
    total, is_true = len(labels), labels == 1
    share = 1 / np.maximum(is_true.sum(axis=1), 1)
    own = probabilities[is_true]
    weight = np.broadcast_to(share[:, None], labels.shape)[is_true]  # what missing this label adds to the sum
    order = np.argsort(own, kind="stable")
    missed_below = np.concatenate([[0.0], np.cumsum(weight[order])])  # by a limit above so many of the sorted labels
    allowed = (1 - coverage) * (total + 1) - 1 + 1e-9
    candidates = own[order]
    first = np.searchsorted(candidates, candidates, side="left")  # a limit at p misses what is strictly below p
    passing = missed_below[first] <= allowed
    return float(candidates[passing].max())
