"""Many tests at once: the more are made, the more find something that is not there."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["holm"]


def holm(p_values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the adjusted p-values, in the order given: below alpha where the test still finds something at alpha.

    The chance that even one of all the findings is false is then at most alpha, however the tests hang together.
    Holm 1979, "A simple sequentially rejective multiple test procedure". The i-th smallest of m (i from 0) is
    multiplied by m - i, made no smaller than the one before it, and at most 1.
    """
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    scaled = values[order] * np.arange(len(values), 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted
