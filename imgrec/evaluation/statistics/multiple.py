"""Holm's correction of p-values for multiple tests."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["holm"]


def holm(p_values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the adjusted p-values, in the order given.

    Rejecting those below alpha keeps the family-wise error rate at alpha under any dependence. Holm 1979, "A simple
    sequentially rejective multiple test procedure": the i-th smallest of m (i from 0) is multiplied by m - i, made no
    smaller than the one before it, and at most 1.
    """
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    scaled = values[order] * np.arange(len(values), 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted
