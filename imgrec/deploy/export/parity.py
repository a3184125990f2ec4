"""Compare two models on the same images: predicted labels, probabilities, and the drop in accuracy."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.data.samples import Task
from imgrec.errors import ParityError
from imgrec.evaluation.decisions import to_probabilities
from imgrec.evaluation.statistics.level import Z

__all__ = ["TOLERANCE", "Drop", "Parity", "compare", "measure_drop", "refuse_untrained"]

TOLERANCE = 1e-4  # of a probability
UNTRAINED = 1e-3  # of a probability over all images: a network whose outputs vary less is untrained
_MAX_NAMED = 20


@dataclass(frozen=True)
class Parity:
    """Agreement of two models on the same images.

    Attributes:
        images: Number of images.
        same_labels: Images with the same predicted label; with several labels, the same set of labels.
        ties: Images whose predicted labels differ, but whose probabilities in the first model are within `tolerance`
            of each other (with several labels: within `tolerance` of 0.5), so that either is acceptable. They are not
            in `same_labels`.
        max_probability_difference: Over all images and classes.
        max_logit_difference: Over all images and classes.
        tolerance: Largest probability difference that is accepted.
        different: Names of up to 20 images with another predicted label, without ties.
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
    """Accuracy that one model loses against another on the same images.

    Attributes:
        points: The drop in percentage points.
        low: Lower end of its 95 % interval for paired proportions: Bonett and Price 2012, "Adjusted Wald confidence
            interval for a difference of binomial proportions based on paired data", section 3.
        high: Upper end.
        before: Accuracy of the first model in percent.
        after: Accuracy of the second model in percent.
        measured: "accuracy", or "labels" without ground truth: then `after` is the share of unchanged predictions.
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
    """Compare the logits (N, C) of two models for the images `names`.

    Raises:
        ParityError: A logit of either model is not finite.
    """
    _require_finite(names, first, side="the checkpoint")
    _require_finite(names, second, side="the export")
    before, after = (to_probabilities(logits, task=task, temperature=1.0) for logits in (first, second))
    labels_before, labels_after = labels_of(before, task=task), labels_of(after, task=task)
    differ = (labels_before != labels_after).any(axis=1)
    is_tie = differ & _are_ties(before, labels_before, labels_after, task=task, tolerance=tolerance)
    changed = np.flatnonzero(differ & ~is_tie)
    return Parity(
        images=len(names),
        same_labels=int((~differ).sum()),
        ties=int(is_tie.sum()),
        max_probability_difference=float(np.abs(before - after).max()),
        max_logit_difference=float(np.abs(first.astype(np.float64) - second).max()),
        tolerance=tolerance,
        different=[names[place] for place in changed[:_MAX_NAMED]],
    )


def labels_of(probabilities: NDArray[np.float64], *, task: Task) -> NDArray[np.int64]:
    """Return predicted labels: the most probable class (the first of equals) as (N, 1); or 0/1 (N, C)."""
    if task == "multilabel":
        return (probabilities > 0.5).astype(np.int64)
    labels: NDArray[np.int64] = probabilities.argmax(axis=1, keepdims=True)
    return labels


def refuse_untrained(logits: NDArray[Any], *, task: Task) -> None:
    """Refuse a network whose outputs are the same for every image, since any export of it would pass the check.

    Raises:
        ParityError: The outputs do not vary, or there is one image.
    """
    probabilities = to_probabilities(logits, task=task, temperature=1.0)
    if len(logits) < 2:
        raise ParityError("One image is too few for the check. Give a folder with more: --images FOLDER.")
    if (moves := float(np.ptp(probabilities, axis=0).max())) < UNTRAINED:
        raise ParityError(
            f"The model gives the same outputs for all {len(logits)} images: no probability varies by more than "
            f"{moves:.1g}. It is not trained, or the images are all alike, so the check would prove nothing. Nothing "
            "was written. Export a trained checkpoint, or give other images: --images FOLDER."
        )


def measure_drop(first: NDArray[Any], second: NDArray[Any], *, labels: NDArray[Any] | None, task: Task) -> Drop:
    """Return the drop from the first logits (N, C) to the second; None for `labels` counts changed predictions."""
    predicted = [
        labels_of(to_probabilities(logits, task=task, temperature=1.0), task=task) for logits in (first, second)
    ]
    measured = "labels" if labels is None else "accuracy"
    if labels is None:
        labels = predicted[0]
    elif labels.ndim == 1:
        labels = labels[:, None]
    is_correct = [(one == labels).all(axis=1) for one in predicted]
    count = len(labels)
    lost, won = int((is_correct[0] & ~is_correct[1]).sum()), int((is_correct[1] & ~is_correct[0]).sum())
    low, high = _paired_interval(lost, won, count)
    return Drop(
        points=100 * (lost - won) / count,
        low=100 * low,
        high=100 * high,
        before=100 * float(is_correct[0].mean()),
        after=100 * float(is_correct[1].mean()),
        measured=measured,
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
    """Return bool (N,): whether the first model has both predicted labels within `tolerance` of each other."""
    if task == "multilabel":
        near = (np.abs(before - 0.5) <= tolerance) | (labels_before == labels_after)
        return np.asarray(near.all(axis=1))
    two = [np.take_along_axis(before, labels, axis=1)[:, 0] for labels in (labels_before, labels_after)]
    is_near: NDArray[np.bool_] = np.abs(two[0] - two[1]) <= tolerance
    return is_near


def _require_finite(names: Sequence[str], logits: NDArray[Any], *, side: str) -> None:
    bad = np.flatnonzero(~np.isfinite(logits).all(axis=1))
    if len(bad):
        raise ParityError(f"{side[:1].upper()}{side[1:]} gives NaN or infinity for {names[bad[0]]}: do not use it.")
