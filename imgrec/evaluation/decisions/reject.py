"""Reject option: abstain below a confidence, so that the error rate of accepted predictions is guaranteed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imgrec.evaluation.decisions.binomial import upper_bound
from imgrec.evaluation.decisions.probabilities import FloatArray

__all__ = ["RejectRule", "fewest_predictions", "fit_reject"]

COVERAGES = tuple(i / 20 for i in range(20, 0, -1))  # the shares of accepted predictions that are tried, widest first


@dataclass(frozen=True)
class RejectRule:
    """Accept a prediction where its confidence is above `threshold`.

    Attributes:
        threshold: -1 where all are accepted.
        risk: The guarantee: with probability `1 - delta` over the draw of the images it was fitted on, at most this
            share of the accepted predictions is incorrect, for images from the same source.
        delta: Probability that the guarantee fails.
        num_accepted: Of the images that it was fitted on.
        num_errors: Incorrect ones among these.
        num_samples: Number of images that it was fitted on.
        upper_bound: Exact upper bound of the error rate, corrected for the number of thresholds that were tried.
    """

    threshold: float
    risk: float
    delta: float
    num_accepted: int
    num_errors: int
    num_samples: int
    upper_bound: float

    def accept(self, confidence: FloatArray) -> NDArray[np.bool_]:
        """Return bool (N,): which confidences (N,) are above the threshold."""
        return np.asarray(confidence > self.threshold)


def fit_reject(confidence: FloatArray, is_error: NDArray[np.bool_], *, risk: float, delta: float) -> RejectRule | None:
    """Return the rule that accepts most and keeps the guarantee, or None where no threshold does.

    At most twenty thresholds are tried: the quantiles at 0, 5, ..., 95 % of the confidences, without those that accept
    too few to show anything. Given the m-th largest of n confidences, the predictions above it are a sample of all
    predictions above it, so their errors are binomial: each threshold is an exact test, and `delta` is divided by the
    number of tests. A search over all thresholds by the bound at `delta` would break the guarantee (Geifman and
    El-Yaniv 2017, arXiv:1705.08500; Angelopoulos et al. 2021, arXiv:2110.01052: learn, then test).

    Args:
        confidence: (N,), of the images to fit on.
        is_error: (N,), whether each prediction is incorrect.
        risk: Error rate to guarantee, in (0, 1).
        delta: Probability that the guarantee may fail, in (0, 1).
    """
    order = np.sort(confidence)[::-1]
    ranks = _ranks(len(confidence), risk=risk, delta=delta)
    for rank in ranks:
        threshold = float(order[rank]) if rank < len(order) else -1.0  # -1: all are accepted
        is_accepted = confidence > threshold
        accepted, errors = int(is_accepted.sum()), int((is_error & is_accepted).sum())
        bound = upper_bound(errors, accepted, delta=delta / len(ranks))
        if bound <= risk:
            return RejectRule(threshold, risk, delta, accepted, errors, len(confidence), bound)
    return None


def fewest_predictions(*, risk: float, delta: float) -> int:
    """Return how many predictions, all correct, are needed to show an error rate of at most `risk`."""
    return int(np.ceil(np.log(delta) / np.log1p(-risk)))


def _ranks(num_samples: int, *, risk: float, delta: float) -> list[int]:
    """Return the numbers of accepted predictions to try: those that could pass if all were correct. Uses no label."""
    ranks = sorted({int(coverage * num_samples) for coverage in COVERAGES} - {0}, reverse=True)
    for count in range(len(ranks), 0, -1):
        if ranks[count - 1] >= fewest_predictions(risk=risk, delta=delta / count):
            return ranks[:count]
    return []
