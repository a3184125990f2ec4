"""Metrics that are means over images, before the mean: one number per image and metric."""

import numpy as np
from numpy.typing import NDArray

from imgrec.evaluation.statistics.agreement import ratio
from imgrec.evaluation.statistics.replicates import log_losses

__all__ = ["multilabel_rows", "single_rows"]

FloatArray = NDArray[np.float64]
TOP = 5


def single_rows(labels: NDArray[np.int64], probabilities: FloatArray) -> dict[str, FloatArray]:
    """Return accuracy, top5, log_loss and brier of each image, float64 (N,): labels (N,), probabilities (N, C).

    brier: the sum over classes of (p - y)^2, 0 to 2. Brier 1950 (Monthly Weather Review 78), eq. 2; for two classes
    twice what others call the Brier score.
    """
    own = np.take_along_axis(probabilities, labels[:, None], axis=1)[:, 0]
    return {
        "accuracy": (probabilities.argmax(axis=1) == labels).astype(np.float64),
        "top5": _is_near_top(labels, probabilities, TOP).astype(np.float64),
        "log_loss": log_losses(own),
        # sum (p - y)^2 = sum p^2 - 2 p(true) + 1, without an array of labels (N, C); rounding may end below 0
        "brier": np.maximum((probabilities**2).sum(axis=1) - 2 * own + 1, 0),
    }


def multilabel_rows(labels: NDArray[np.int64], probabilities: FloatArray) -> dict[str, FloatArray]:
    """Return the metrics of each image over its labels 0/1 (N, C), float64 (N,); NaN where undefined.

    subset_accuracy: all labels are correct. hamming_loss: share that is incorrect. log_loss: binary cross entropy.
    brier: mean of (p - y)^2, 0 to 1. precision.samples, recall.samples, f1.samples: over the labels of the image.
    """
    is_predicted, is_actual = probabilities > 0.5, labels == 1
    hits, predicted, actual = (kind.sum(axis=1) for kind in (is_predicted & is_actual, is_predicted, is_actual))
    is_error = is_predicted != is_actual
    return {
        "subset_accuracy": (~is_error.any(axis=1)).astype(np.float64),
        "hamming_loss": is_error.mean(axis=1),
        "precision.samples": ratio(hits, predicted),
        "recall.samples": ratio(hits, actual),
        "f1.samples": ratio(2 * hits, predicted + actual),
        "log_loss": log_losses(np.where(is_actual, probabilities, 1 - probabilities)).mean(axis=1),
        "brier": ((probabilities - labels) ** 2).mean(axis=1),
    }


def _is_near_top(labels: NDArray[np.int64], probabilities: FloatArray, top: int) -> NDArray[np.bool_]:
    """Return bool (N,): whether fewer than `top` classes rank before the true one.

    On ties the later class ranks first, as in scikit-learn's `top_k_accuracy_score`.
    """
    own = np.take_along_axis(probabilities, labels[:, None], axis=1)
    is_later = np.arange(probabilities.shape[1]) > labels[:, None]
    is_before = (probabilities > own) | ((probabilities == own) & is_later)
    return np.asarray(is_before.sum(axis=1) < top)
