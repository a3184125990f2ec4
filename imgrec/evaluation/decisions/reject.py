"""A reject option: answers below a confidence are handed to a person, so that of the others few are wrong."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imgrec.evaluation.decisions.binomial import upper_bound
from imgrec.evaluation.decisions.probabilities import FloatArray

__all__ = ["RejectRule", "fewest_answers", "fit_reject"]

COVERAGES = tuple(i / 20 for i in range(20, 0, -1))  # the shares of accepted answers that are tried, widest first


@dataclass(frozen=True)
class RejectRule:
    """Accept an answer where its confidence is above `threshold`.

    risk: the guarantee: with probability `1 - delta` over the draw of the images it was fitted on, at most this share
        of the accepted answers is wrong, for images from the same source.
    accepted, wrong, num_samples: what it did on the images that it was fitted on.
    upper_bound: of the share of wrong ones, exact, at the confidence that was needed as several thresholds were tried.
    """

    threshold: float
    risk: float
    delta: float
    accepted: int
    wrong: int
    num_samples: int
    upper_bound: float

    def accept(self, confidence: FloatArray) -> NDArray[np.bool_]:
        """Return which of (N,) confidences are enough."""
        return np.asarray(confidence > self.threshold)


def fit_reject(confidence: FloatArray, is_wrong: NDArray[np.bool_], *, risk: float, delta: float) -> RejectRule | None:
    """Return the rule that accepts most and keeps the guarantee, or None: these answers show none that would.

    At most twenty thresholds are tried: the confidences below which 0, 5, ..., 95 % of the answers lie, without those
    that accept too few to show anything. Given the m-th largest of n confidences, the answers above it are a sample of
    all answers above it, so their wrong ones are binomial: each threshold is an exact test, and `delta` is divided by
    the number of tests. A search over all thresholds by the bound at `delta` would break the guarantee (Geifman and
    El-Yaniv 2017, arXiv:1705.08500; Angelopoulos et al. 2021, arXiv:2110.01052: learn, then test).

    confidence, is_wrong: (N,), of the images to fit on. risk, delta: in (0, 1).
    """
    order = np.sort(confidence)[::-1]
    ranks = _ranks(len(confidence), risk=risk, delta=delta)
    for rank in ranks:
        threshold = float(order[rank]) if rank < len(order) else -1.0  # -1: all are accepted
        is_accepted = confidence > threshold
        accepted, wrong = int(is_accepted.sum()), int((is_wrong & is_accepted).sum())
        bound = upper_bound(wrong, accepted, delta=delta / len(ranks))
        if bound <= risk:
            return RejectRule(threshold, risk, delta, accepted, wrong, len(confidence), bound)
    return None


def fewest_answers(*, risk: float, delta: float) -> int:
    """Return how many answers, all of them right, are needed to show that the risk is not above `risk`."""
    return int(np.ceil(np.log(delta) / np.log1p(-risk)))


def _ranks(num_samples: int, *, risk: float, delta: float) -> list[int]:
    """Return the numbers of accepted answers to try: those that could pass if all were right. No label is looked at."""
    ranks = sorted({int(coverage * num_samples) for coverage in COVERAGES} - {0}, reverse=True)
    for count in range(len(ranks), 0, -1):
        if ranks[count - 1] >= fewest_answers(risk=risk, delta=delta / count):
            return ranks[:count]
    return []
