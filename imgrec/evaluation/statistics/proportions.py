"""Shares of counted things with their intervals, and what a test finds and misses at a threshold."""

from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEVEL", "screen", "wilson"]

LEVEL = 0.95


def wilson(hits: Any, totals: Any, *, level: float = LEVEL) -> NDArray[np.float64]:
    """Return the score interval of hits / totals, float64 (2, ...): low and high. Wilson 1927; Newcombe 1998, method 3.

    Not hits / totals plus or minus its standard error: that has no width at 0 and 1 and covers too rarely near them.
    NaN where the total is 0. `totals` may be an effective number of trials, not whole. Without SciPy: what ships an
    exported model uses this too.
    """
    hits, totals = np.asarray(hits, dtype=np.float64), np.asarray(totals, dtype=np.float64)
    z = NormalDist().inv_cdf((1 + level) / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = hits / totals
        middle = (share + z * z / (2 * totals)) / (1 + z * z / totals)
        half = z * np.sqrt(share * (1 - share) / totals + (z / (2 * totals)) ** 2) / (1 + z * z / totals)
    # At 0 and 1 the formula ends there exactly, but for rounding.
    low, high = np.where(hits == 0, 0.0, middle - half), np.where(hits == totals, 1.0, middle + half)
    return np.where(totals > 0, np.stack([low, high]), np.nan)


def screen(
    scores: NDArray[np.float64], is_positive: NDArray[np.bool_], *, threshold: float, level: float = LEVEL
) -> dict[str, dict[str, Any]]:
    """Return what a test that calls `scores > threshold` positive finds: an operating point of one class.

    Scores and labels (N,). For each of sensitivity, specificity, ppv (positive predictive value, precision) and npv:
    value (NaN where nothing is to be counted), interval [low, high] (Wilson) or None, hits and total. PPV and NPV hold
    for the share of positives in this set; where the condition is rarer in use, the PPV is lower.
    """
    is_called = scores > threshold
    cells = {
        "sensitivity": (is_called & is_positive, is_positive),
        "specificity": (~is_called & ~is_positive, ~is_positive),
        "ppv": (is_called & is_positive, is_called),
        "npv": (~is_called & ~is_positive, ~is_called),
    }
    return {name: _share(int(hits.sum()), int(total.sum()), level=level) for name, (hits, total) in cells.items()}


def _share(hits: int, total: int, *, level: float) -> dict[str, Any]:
    interval = wilson(hits, total, level=level).tolist() if total else None
    return {"value": hits / total if total else float("nan"), "interval": interval, "hits": hits, "total": total}
