"""Temperature scaling: the temperature with the lowest log loss on labelled images."""

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
    """A temperature, and a note where the fit is unreliable or was not possible."""

    value: float
    note: str | None = None


def fit_temperature(logits: NDArray[Any], labels: NDArray[Any], *, task: Task) -> Temperature:
    """Return the temperature with the lowest log loss (several labels: binary cross entropy) on these images.

    The loss is convex in 1 / temperature, so the root of its slope is found by Brent's method: nothing to tune, no
    local minimum. The search ends at `LARGEST`. Where every prediction is correct the loss has no minimum; the
    temperature is then 1.

    Args:
        logits: (N, C) with N above 0.
        labels: int64 (N,); with several labels per image 0/1 (N, C).
        task: `"single"` or `"multilabel"`.
    """
    from scipy.optimize import brentq

    logits = np.asarray(logits, dtype=np.float64)
    if task == "single":
        logits = logits - logits.max(axis=1, keepdims=True)  # changes no probability, and loses no digits
    on = f"{len(logits):,} image{'s' * (len(logits) > 1)}"
    coldest, hottest = (_slope(1 / limit, logits, labels, task) for limit in (SMALLEST, LARGEST))
    if coldest == hottest == 0:
        return Temperature(1.0, "Temperature 1: the logits are the same for every class, so no other fits better.")
    if coldest <= 0:
        return Temperature(1.0, f"Temperature 1: all predictions on {on} are correct, so none can be fitted.")
    if hottest >= 0:
        what = f"Temperature {LARGEST:g}, the upper limit: on {on} the model is worse than guessing."
        return Temperature(LARGEST, f"{what} Check the labels and the order of the classes.")
    value = 1 / brentq(_slope, 1 / LARGEST, 1 / SMALLEST, args=(logits, labels, task), xtol=1e-12, rtol=1e-12)
    few = f"The temperature was fitted on only {on} and may be inaccurate." if len(logits) < FEW else None
    return Temperature(float(value), few)


def _slope(sharpness: float, logits: NDArray[np.float64], labels: NDArray[Any], task: Task) -> float:
    """Return the derivative of the mean log loss by 1 / temperature: expected minus observed logit of the label."""
    probabilities = to_probabilities(logits, task=task, temperature=1 / sharpness)
    if task == "multilabel":
        return float(((probabilities - labels) * logits).mean())
    own = logits[np.arange(len(logits)), labels]
    return float(((probabilities * logits).sum(axis=1) - own).mean())
