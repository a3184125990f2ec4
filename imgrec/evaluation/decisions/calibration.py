"""Calibration metrics: reliability bins, expected calibration error, log loss and Brier score."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.evaluation.decisions.probabilities import FloatArray, Task, true_classes
from imgrec.evaluation.statistics.proportions import wilson

__all__ = [
    "Bin",
    "bin_equally_filled",
    "bin_equally_wide",
    "confidence_and_correct",
    "expected_error",
    "measure_calibration",
]

NUM_BINS = 15  # as in Guo et al. 2017
_SMALLEST_PROBABILITY = np.finfo(np.float64).tiny
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Bin:
    """The predictions whose confidence lies in [lower, upper].

    Attributes:
        lower: Lower edge.
        upper: Upper edge.
        count: Number of predictions.
        confidence: Mean confidence.
        accuracy: Share of correct predictions, with its 95 % Wilson interval.
        accuracy_low: Lower end of the interval.
        accuracy_high: Upper end of the interval.
    """

    lower: float
    upper: float
    count: int
    confidence: float
    accuracy: float
    accuracy_low: float
    accuracy_high: float


def confidence_and_correct(
    probabilities: FloatArray, labels: NDArray[Any], *, task: Task
) -> tuple[FloatArray, BoolArray]:
    """Return confidence and whether it came true, both (M,): M = N images, with several labels N x C probabilities."""
    if task == "multilabel":
        return probabilities.ravel(), (labels == 1).ravel()
    return probabilities.max(axis=1), probabilities.argmax(axis=1) == labels


def bin_equally_wide(confidence: FloatArray, is_correct: BoolArray, *, num_bins: int = NUM_BINS) -> list[Bin]:
    """Return the bins (i / n, (i + 1) / n] that are not empty."""
    edges = np.linspace(0, 1, num_bins + 1)
    return _bins(confidence, is_correct, _place(confidence, num_bins), lower=edges[:-1], upper=edges[1:])


def bin_equally_filled(confidence: FloatArray, is_correct: BoolArray, *, num_bins: int = NUM_BINS) -> list[Bin]:
    """Return bins of counts as equal as possible; equal confidences share a bin (Nguyen and O'Connor 2015)."""
    order = np.sort(confidence)
    starts = np.unique([chunk[0] for chunk in np.array_split(order, min(num_bins, len(order)))])
    place = np.searchsorted(starts, confidence, side="right") - 1
    last = np.searchsorted(order, np.append(starts[1:], np.inf), side="left") - 1
    return _bins(confidence, is_correct, place, lower=starts, upper=order[last])


def _place(confidence: FloatArray, num_bins: int) -> NDArray[np.int64]:
    return np.clip(np.ceil(confidence * num_bins).astype(np.int64) - 1, 0, num_bins - 1)


def _bins(
    confidence: FloatArray, is_correct: BoolArray, place: NDArray[np.int64], *, lower: FloatArray, upper: FloatArray
) -> list[Bin]:
    counts, sums, correct = (
        np.bincount(place, weights, minlength=len(lower)) for weights in (None, confidence, is_correct)
    )
    limits = wilson(correct, counts)
    return [
        Bin(
            float(lower[i]),
            float(upper[i]),
            int(counts[i]),
            float(sums[i] / counts[i]),
            float(correct[i] / counts[i]),
            *limits[:, i].tolist(),
        )
        for i in np.flatnonzero(counts)
    ]


def expected_error(bins: list[Bin]) -> float:
    """Return the expected calibration error: mean over predictions of |accuracy - confidence| of their bin.

    Naeini et al. 2015 (AAAI); Guo et al. 2017, arXiv:1706.04599, eq. 3.
    """
    total = sum(one.count for one in bins)
    return sum(one.count * abs(one.accuracy - one.confidence) for one in bins) / total


def expected_error_by_chance(confidence: FloatArray) -> float:
    """Return the ECE (bins of equal width) that a perfectly calibrated model would show on average.

    The ECE of a finite set is never 0; a value near this one is no evidence of miscalibration. By the normal
    approximation of each bin's count: the mean absolute error is sqrt(2 / pi) times its standard deviation.
    """
    variance = np.bincount(_place(confidence, NUM_BINS), confidence * (1 - confidence), minlength=NUM_BINS)
    return float(np.sqrt(2 / np.pi * variance).sum() / len(confidence))


def measure_calibration(probabilities: FloatArray, labels: NDArray[Any], *, task: Task) -> dict[str, Any]:
    """Return calibration errors, proper scores and bins, as plain data.

    Args:
        probabilities: (N, C).
        labels: int64 (N,); with several labels per image 0/1 (N, C).
        task: `"single"` or `"multilabel"`.

    Returns:
        `ece_width`, `ece_mass`: expected calibration error over 15 bins of equal width, of equal counts.
        `ece_by_chance`: ECE that a perfectly calibrated model would show on as many images.
        `ece_classwise`: mean over classes of the ECE of each class's probability (Kull et al. 2019).
        `log_loss`: in nats. `brier`: squared error of the probabilities, summed over classes (0 to 2); with several
        labels averaged over them (0 to 1). `mean_confidence`, `accuracy`, `bins_width`, `bins_mass`.
    """
    confidence, is_correct = confidence_and_correct(probabilities, labels, task=task)
    wide, filled = bin_equally_wide(confidence, is_correct), bin_equally_filled(confidence, is_correct)
    is_true = true_classes(labels, probabilities.shape[1])
    return {
        "ece_width": expected_error(wide),
        "ece_mass": expected_error(filled),
        "ece_by_chance": expected_error_by_chance(confidence),
        "ece_classwise": _classwise(probabilities, is_true),
        "log_loss": _log_loss(probabilities, is_true, task=task),
        "brier": _brier(probabilities, is_true, task=task),
        "mean_confidence": float(confidence.mean()),
        "accuracy": float(is_correct.mean()),
        "bins_width": [vars(one) for one in wide],
        "bins_mass": [vars(one) for one in filled],
    }


def _classwise(probabilities: FloatArray, is_true: BoolArray) -> float:
    columns = zip(probabilities.T, is_true.T, strict=True)
    return float(np.mean([expected_error(bin_equally_wide(own, is_own)) for own, is_own in columns]))


def _log_loss(probabilities: FloatArray, is_true: BoolArray, *, task: Task) -> float:
    own = np.where(is_true, probabilities, 1 - probabilities) if task == "multilabel" else probabilities[is_true]
    return float(-np.log(np.maximum(own, _SMALLEST_PROBABILITY)).mean())


def _brier(probabilities: FloatArray, is_true: BoolArray, *, task: Task) -> float:
    squares = (probabilities - is_true) ** 2
    return float(squares.mean() if task == "multilabel" else squares.sum(axis=1).mean())
