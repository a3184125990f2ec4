"""Logits to probabilities, by a temperature."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Task", "predicted_labels", "prediction_confidence", "to_probabilities"]

FloatArray = NDArray[np.float64]
Task = Literal["single", "multilabel"]


def to_probabilities(logits: NDArray[Any], *, task: Task, temperature: float = 1.0) -> FloatArray:
    """Return float64 (N, C) in [0, 1]: softmax of logits / temperature; for several labels the sigmoid of each.

    A temperature above 1 makes the network less sure, one below 1 surer; which class comes first never changes.
    Guo et al. 2017, arXiv:1706.04599, section 4.2.
    """
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    if task == "multilabel":
        return np.asarray(np.exp(-np.logaddexp(0.0, -scaled)))  # a sigmoid that cannot overflow
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def predicted_labels(probabilities: FloatArray, *, task: Task) -> NDArray[np.int64] | NDArray[np.uint8]:
    """Return int64 (N,), the most probable class, the first of equals; for several labels uint8 (N, C): p > 0.5."""
    if task == "multilabel":
        return (probabilities > 0.5).astype(np.uint8)
    return np.asarray(probabilities.argmax(axis=1), dtype=np.int64)


def prediction_confidence(probabilities: FloatArray, *, task: Task) -> FloatArray:
    """Return (N,): how probable it is that the answer is right, as the network has it.

    One label per image: the probability of the predicted class. Several: the probability of the least sure of its
    yes-or-no answers, as one wrong label makes the answer wrong.
    """
    if task == "multilabel":
        return np.asarray(np.maximum(probabilities, 1 - probabilities).min(axis=1))
    return np.asarray(probabilities.max(axis=1))
