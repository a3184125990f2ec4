"""Proportions with their intervals; sensitivity, specificity, PPV and NPV at a threshold."""

from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.evaluation.statistics.level import LEVEL

__all__ = ["screen", "wilson"]


def wilson(hits: Any, totals: Any, *, level: float = LEVEL) -> NDArray[np.float64]:
    """Return Wilson's score interval of hits / totals. Wilson 1927; Newcombe 1998, method 3.

    The normal interval (plus or minus the standard error) has no width at 0 and 1 and covers too rarely near them.
    Needs no SciPy, so that exported models can use it.

    Args:
        hits: Number of successes, a scalar or an array.
        totals: Number of trials; an effective number need not be whole.
        level: Confidence level.

    Returns:
        float64 (2, ...): lower and upper end, NaN where the total is 0.
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
    """Return sensitivity, specificity, PPV and NPV of the test `scores > threshold`.

    PPV and NPV hold for the prevalence of positives in this set; where positives are rarer, the PPV is lower.

    Args:
        scores: (N,), higher meaning more likely positive.
        is_positive: (N,).
        threshold: Above it, an image is predicted positive.
        level: Confidence level.

    Returns:
        For each of `sensitivity`, `specificity`, `ppv` (precision) and `npv`: `value` (NaN where the total is 0),
        `interval` [low, high] (Wilson) or None, `hits` and `total`.
    """
    is_predicted = scores > threshold
    cells = {
        "sensitivity": (is_predicted & is_positive, is_positive),
        "specificity": (~is_predicted & ~is_positive, ~is_positive),
        "ppv": (is_predicted & is_positive, is_predicted),
        "npv": (~is_predicted & ~is_positive, ~is_predicted),
    }
    return {name: _share(int(hits.sum()), int(total.sum()), level=level) for name, (hits, total) in cells.items()}


def _share(hits: int, total: int, *, level: float) -> dict[str, Any]:
    interval = wilson(hits, total, level=level).tolist() if total else None
    return {"value": hits / total if total else float("nan"), "interval": interval, "hits": hits, "total": total}
