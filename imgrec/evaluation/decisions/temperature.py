"""The temperature at which a network's probabilities fit best what it is seen to get right."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.evaluation.decisions.probabilities import Task, to_probabilities

__all__ = ["LARGEST", "SMALLEST", "Temperature", "fit_temperature"]

SMALLEST, LARGEST = 0.001, 1000.0
FEW = 100  # images below which a note says that the fit rests on few


@dataclass(frozen=True)
class Temperature:
    """The value, and a line about what stood in the way of a fit, or None."""

    value: float
    note: str | None = None


def fit_temperature(logits: NDArray[Any], labels: NDArray[Any], *, task: Task) -> Temperature:
    """Return the temperature with the least log loss (for several labels: binary cross entropy) on these images.

    The loss is convex in 1 / temperature, so the zero of its slope is found by bisection and interpolation (Brent):
    nothing to tune, no local minimum. The search ends at `LARGEST`. Where every answer is right the loss only falls as
    the network gets surer, without end: then nothing is fitted, and the temperature is 1.

    logits: (N, C) with N above 0. labels: int64 (N,), or for several 0/1 (N, C).
    """
    from scipy.optimize import brentq

    logits = np.asarray(logits, dtype=np.float64)
    if task == "single":
        logits = logits - logits.max(axis=1, keepdims=True)  # changes no probability, and loses no digits
    on = f"{len(logits):,} image{'s' * (len(logits) > 1)}"
    coldest, hottest = (_slope(1 / limit, logits, labels, task) for limit in (SMALLEST, LARGEST))
    if coldest == hottest == 0:
        return Temperature(1.0, "Temperature 1: the network says the same of every image, so none fits better.")
    if coldest <= 0:
        return Temperature(1.0, f"Temperature 1: the {on} show no mistake to fit it to.")
    if hottest >= 0:
        what = f"Temperature {LARGEST:g}, the largest tried: on {on} the network is worse than guessing."
        return Temperature(LARGEST, f"{what} Check that labels and the order of the classes are right.")
    value = 1 / brentq(_slope, 1 / LARGEST, 1 / SMALLEST, args=(logits, labels, task), xtol=1e-12, rtol=1e-12)
    few = f"The temperature rests on {on}: with so few it may be off." if len(logits) < FEW else None
    return Temperature(float(value), few)


def _slope(sharpness: float, logits: NDArray[np.float64], labels: NDArray[Any], task: Task) -> float:
    """Return the derivative of the mean log loss by 1 / temperature: expected minus observed logit of what is true."""
    probabilities = to_probabilities(logits, task=task, temperature=1 / sharpness)
    if task == "multilabel":
        return float(((probabilities - labels) * logits).mean())
    own = logits[np.arange(len(logits)), labels]
    return float(((probabilities * logits).sum(axis=1) - own).mean())
