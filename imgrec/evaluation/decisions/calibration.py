"""Does "90 % sure" come true 9 times in 10? Bins of a reliability diagram, and the errors that are read off them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.evaluation.decisions.probabilities import FloatArray, Task
from imgrec.evaluation.statistics.proportions import wilson

__all__ = ["Bin", "bin_equally_filled", "bin_equally_wide", "expected_error", "measure_calibration", "said_and_true"]

NUM_BINS = 15  # as in Guo et al. 2017
_SMALLEST_PROBABILITY = np.finfo(np.float64).tiny


@dataclass(frozen=True)
class Bin:
    """The answers whose confidence lies in [lower, upper].

    confidence: mean of what the network said. accuracy: share that came true, with its Wilson interval (95 %).
    """

    lower: float
    upper: float
    count: int
    confidence: float
    accuracy: float
    accuracy_low: float
    accuracy_high: float


def said_and_true(
    probabilities: FloatArray, labels: NDArray[Any], *, task: Task
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Return (confidence, came true), both (M,): one an image, its answer's; with several labels each of N x C."""
    if task == "multilabel":
        return probabilities.ravel(), (labels == 1).ravel()
    return probabilities.max(axis=1), probabilities.argmax(axis=1) == labels


def bin_equally_wide(confidence: FloatArray, is_true: NDArray[np.bool_], *, num_bins: int = NUM_BINS) -> list[Bin]:
    """Return the bins ((i / n), (i + 1) / n] that hold anything."""
    edges = np.linspace(0, 1, num_bins + 1)
    return _bins(confidence, is_true, _place(confidence, num_bins), lower=edges[:-1], upper=edges[1:])


def bin_equally_filled(confidence: FloatArray, is_true: NDArray[np.bool_], *, num_bins: int = NUM_BINS) -> list[Bin]:
    """Return bins of as equal counts as can be; equal confidences share a bin (Nguyen and O'Connor 2015)."""
    order = np.sort(confidence)
    starts = np.array([part[0] for part in np.array_split(order, min(num_bins, len(order)))])
    starts = np.unique(starts)
    place = np.searchsorted(starts, confidence, side="right") - 1
    last = np.searchsorted(order, np.append(starts[1:], np.inf), side="left") - 1
    return _bins(confidence, is_true, place, lower=starts, upper=order[last])


def _place(confidence: FloatArray, num_bins: int) -> NDArray[np.int64]:
    return np.clip(np.ceil(confidence * num_bins).astype(np.int64) - 1, 0, num_bins - 1)


def _bins(
    confidence: FloatArray,
    is_true: NDArray[np.bool_],
    place: NDArray[np.int64],
    *,
    lower: FloatArray,
    upper: FloatArray,
) -> list[Bin]:
    size = len(lower)
    counts = np.bincount(place, minlength=size)
    said, right = np.bincount(place, confidence, minlength=size), np.bincount(place, is_true, minlength=size)
    limits = wilson(right, counts)
    return [
        Bin(
            float(lower[i]),
            float(upper[i]),
            int(counts[i]),
            float(said[i] / counts[i]),
            float(right[i] / counts[i]),
            *limits[:, i].tolist(),
        )
        for i in np.flatnonzero(counts)
    ]


def expected_error(bins: list[Bin]) -> float:
    """Return the expected calibration error: mean over answers of |accuracy - confidence| of their bin.

    Naeini et al. 2015 (AAAI); Guo et al. 2017, arXiv:1706.04599, eq. 3.
    """
    total = sum(one.count for one in bins)
    return sum(one.count * abs(one.accuracy - one.confidence) for one in bins) / total


def expected_error_by_chance(confidence: FloatArray) -> float:
    """Return the error (equal widths) that so many answers would show on average if every confidence were exactly true.

    The error is never 0 on a finite set: what lies near this number is no evidence of anything. From the normal
    approximation of each bin's count: the mean of |true - said| is sqrt(2 / pi) times its standard deviation.
    """
    variance = np.bincount(_place(confidence, NUM_BINS), confidence * (1 - confidence), minlength=NUM_BINS)
    return float(np.sqrt(2 / np.pi * variance).sum() / len(confidence))


def measure_calibration(probabilities: FloatArray, labels: NDArray[Any], *, task: Task) -> dict[str, Any]:
    """Return calibration errors, proper scores and the bins, as plain data.

    ece_width, ece_mass: from 15 bins of equal width, of equal counts. ece_by_chance: what a perfectly calibrated
    network would show on so many. ece_classwise: mean over classes of the error of each class's own probability (Kull
    et al. 2019). log_loss in nats. brier: mean squared distance between probabilities and truth, summed over classes
    (0 to 2), with several labels averaged over them (0 to 1).
    """
    confidence, is_true = said_and_true(probabilities, labels, task=task)
    wide, filled = bin_equally_wide(confidence, is_true), bin_equally_filled(confidence, is_true)
    truth = labels == 1 if task == "multilabel" else labels[:, None] == np.arange(probabilities.shape[1])
    return {
        "ece_width": expected_error(wide),
        "ece_mass": expected_error(filled),
        "ece_by_chance": expected_error_by_chance(confidence),
        "ece_classwise": _classwise(probabilities, truth),
        "log_loss": _log_loss(probabilities, truth, task=task),
        "brier": _brier(probabilities, truth, task=task),
        "mean_confidence": float(confidence.mean()),
        "accuracy": float(is_true.mean()),
        "bins_width": [vars(one) for one in wide],
        "bins_mass": [vars(one) for one in filled],
    }


def _classwise(probabilities: FloatArray, truth: NDArray[np.bool_]) -> float:
    columns = zip(probabilities.T, truth.T, strict=True)
    return float(np.mean([expected_error(bin_equally_wide(said, is_own)) for said, is_own in columns]))


def _log_loss(probabilities: FloatArray, truth: NDArray[np.bool_], *, task: Task) -> float:
    own = np.where(truth, probabilities, 1 - probabilities) if task == "multilabel" else probabilities[truth]
    return float(-np.log(np.maximum(own, _SMALLEST_PROBABILITY)).mean())


def _brier(probabilities: FloatArray, truth: NDArray[np.bool_], *, task: Task) -> float:
    squares = (probabilities - truth) ** 2
    return float(squares.mean() if task == "multilabel" else squares.sum(axis=1).mean())
