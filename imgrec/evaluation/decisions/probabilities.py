"""Logits to calibrated probabilities, predicted labels and confidence."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Task", "predicted_labels", "prediction_confidence", "to_probabilities", "true_classes"]

FloatArray = NDArray[np.float64]
Task = Literal["single", "multilabel"]


def to_probabilities(logits: NDArray[Any], *, task: Task, temperature: float = 1.0) -> FloatArray:
    """Return float64 (N, C) in [0, 1]: softmax of logits / temperature; with several labels the sigmoid of each.

    A temperature above 1 lowers the confidence, one below 1 raises it; the order of the classes stays the same.
    Guo et al. 2017, arXiv:1706.04599, section 4.2.
    """
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    if task == "multilabel":
        return np.asarray(np.exp(-np.logaddexp(0.0, -scaled)))  # a sigmoid that cannot overflow
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def predicted_labels(probabilities: FloatArray, *, task: Task) -> NDArray[np.int64] | NDArray[np.uint8]:
    """Return int64 (N,), the most probable class, the first on ties; with several labels uint8 (N, C): p > 0.5."""
    if task == "multilabel":
        return (probabilities > 0.5).astype(np.uint8)
    return np.asarray(probabilities.argmax(axis=1), dtype=np.int64)


def prediction_confidence(probabilities: FloatArray, *, task: Task) -> FloatArray:
    """Return (N,): the probability that the prediction is correct.

    One label per image: the probability of the predicted class. Several: the lowest max(p, 1 - p) over the labels, as
    one incorrect label makes the prediction incorrect.
    """
    if task == "multilabel":
        return np.asarray(np.maximum(probabilities, 1 - probabilities).min(axis=1))
    return np.asarray(probabilities.max(axis=1))


def true_classes(labels: NDArray[Any], num_classes: int) -> NDArray[np.bool_]:
    """Return bool (N, C): which classes each image has, from labels (N,) or 0/1 (N, C)."""
    return np.asarray(labels == 1 if labels.ndim == 2 else labels[:, None] == np.arange(num_classes))
