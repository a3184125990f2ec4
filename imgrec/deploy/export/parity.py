"""Whether two models give the same answer: label by label, and how far their probabilities are apart."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.data.samples import Task
from imgrec.errors import ParityError
from imgrec.evaluation.decisions import to_probabilities
from imgrec.evaluation.statistics.proportions import Z

__all__ = ["TOLERANCE", "Drop", "Parity", "compare", "measure_drop", "refuse_untrained"]

TOLERANCE = 1e-4  # of a probability
UNTRAINED = 1e-3  # a network whose probabilities move less than this over all images has learned nothing
_MAX_NAMED = 20


@dataclass(frozen=True)
class Parity:
    """How two models agree on the same images.

    same_labels: images with the same label on both sides; with several labels the same set of labels.
    ties: images whose labels differ although the first model itself has them within `tolerance` of each other (with
        several labels: within `tolerance` of 0.5), so that either is right. They are not in `same_labels`.
    max_probability_difference, max_logit_difference: the largest over all images and classes.
    different: names of up to 20 images with another label, ties left out.
    """

    images: int
    same_labels: int
    ties: int
    max_probability_difference: float
    max_logit_difference: float
    tolerance: float
    different: Sequence[str]

    @property
    def holds(self) -> bool:
        """Whether every label is the same or a tie, and every probability within the tolerance."""
        is_same = self.same_labels + self.ties == self.images
        return is_same and self.max_probability_difference <= self.tolerance

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {**asdict(self), "different": list(self.different), "holds": self.holds}


@dataclass(frozen=True)
class Drop:
    """How much accuracy one model loses against another on the same labelled images, in percentage points.

    before, after: accuracy in percent. low, high: 95 % interval of `points`, paired: Bonett and Price 2012, "Adjusted
    Wald confidence interval for a difference of binomial proportions based on paired data", section 3.
    measured: "accuracy", or "labels" where the truth is not known: then `after` is the share of unchanged labels.
    """

    points: float
    low: float
    high: float
    before: float
    after: float
    measured: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def compare(
    names: Sequence[str], first: NDArray[Any], second: NDArray[Any], *, task: Task, tolerance: float = TOLERANCE
) -> Parity:
    """Compare the logits (N, C) of two models about the images `names`.

    Raises: ParityError: a number on either side is not finite.
    """
    _require_finite(names, first, side="the checkpoint")
    _require_finite(names, second, side="the export")
    before, after = (to_probabilities(logits, task=task, temperature=1.0) for logits in (first, second))
    labels_before, labels_after = labels_of(before, task=task), labels_of(after, task=task)
    differ = (labels_before != labels_after).any(axis=1)
    is_tie = differ & _are_ties(before, labels_before, labels_after, task=task, tolerance=tolerance)
    wrong = np.flatnonzero(differ & ~is_tie)
    return Parity(
        images=len(names),
        same_labels=int((~differ).sum()),
        ties=int(is_tie.sum()),
        max_probability_difference=float(np.abs(before - after).max()),
        max_logit_difference=float(np.abs(first.astype(np.float64) - second).max()),
        tolerance=tolerance,
        different=[names[place] for place in wrong[:_MAX_NAMED]],
    )


def labels_of(probabilities: NDArray[np.float64], *, task: Task) -> NDArray[np.int64]:
    """Return what is answered: the most probable class, of equals the first, as (N, 1); or 0/1 (N, C)."""
    if task == "multilabel":
        return (probabilities > 0.5).astype(np.int64)
    labels: NDArray[np.int64] = probabilities.argmax(axis=1, keepdims=True)
    return labels


def refuse_untrained(logits: NDArray[Any], *, task: Task) -> None:
    """Raise ParityError where a network says the same of every image: then any export of it would pass."""
    probabilities = to_probabilities(logits, task=task, temperature=1.0)
    if len(logits) < 2:
        raise ParityError("One image tells nothing about parity. Give a folder with more: --images FOLDER.")
    if (moves := float(np.ptp(probabilities, axis=0).max())) < UNTRAINED:
        raise ParityError(
            f"The network says the same of all {len(logits)} images: no probability moves by more than {moves:.1g}. "
            "It is not trained, or the images are all alike, so that agreement would prove nothing. Nothing was "
            "written. Export a trained checkpoint, or give other images: --images FOLDER."
        )


def measure_drop(first: NDArray[Any], second: NDArray[Any], *, labels: NDArray[Any] | None, task: Task) -> Drop:
    """Return what is lost from the first logits (N, C) to the second; without `labels` the first are the truth."""
    answers = [labels_of(to_probabilities(logits, task=task, temperature=1.0), task=task) for logits in (first, second)]
    truth = answers[0] if labels is None else (labels if labels.ndim == 2 else labels[:, None])
    right = [(answer == truth).all(axis=1) for answer in answers]
    count = len(right[0])
    lost, won = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    low, high = _paired_interval(lost, won, count)
    return Drop(
        points=100 * (lost - won) / count,
        low=100 * low,
        high=100 * high,
        before=100 * float(right[0].mean()),
        after=100 * float(right[1].mean()),
        measured="labels" if labels is None else "accuracy",
    )


def _paired_interval(lost: int, won: int, count: int) -> tuple[float, float]:
    p_lost, p_won = (lost + 1) / (count + 2), (won + 1) / (count + 2)
    half = Z * math.sqrt((p_lost + p_won - (p_lost - p_won) ** 2) / (count + 2))
    middle = p_lost - p_won
    return max(-1.0, middle - half), min(1.0, middle + half)


def _are_ties(
    before: NDArray[np.float64],
    labels_before: NDArray[np.int64],
    labels_after: NDArray[np.int64],
    *,
    task: Task,
    tolerance: float,
) -> NDArray[np.bool_]:
    """Return (N,): whether the first model has the two sides' labels within `tolerance` of each other."""
    if task == "multilabel":
        near = (np.abs(before - 0.5) <= tolerance) | (labels_before == labels_after)
        return np.asarray(near.all(axis=1))
    two = [np.take_along_axis(before, labels, axis=1)[:, 0] for labels in (labels_before, labels_after)]
    is_near: NDArray[np.bool_] = np.abs(two[0] - two[1]) <= tolerance
    return is_near


def _require_finite(names: Sequence[str], logits: NDArray[Any], *, side: str) -> None:
    bad = np.flatnonzero(~np.isfinite(logits).all(axis=1))
    if len(bad):
        raise ParityError(f"{side[:1].upper()}{side[1:]} answers NaN or infinity for {names[bad[0]]}: not to be used.")
