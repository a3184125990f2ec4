"""Fisher's exact test of two shares, without scipy.stats: importing that costs more than all tests of an evaluation."""

import numpy as np

__all__ = ["fisher_exact"]

_EQUAL = 1e-9  # relative: tables whose probabilities differ by less are equally probable, and only rounded apart


def fisher_exact(hits: int, total: int, other_hits: int, other_total: int) -> float:
    """Return the two-sided p-value for hits of total against other_hits of other_total; 1 where one margin is 0.

    The probability, given all margins, of the tables that are at most as probable as the one seen. Fisher 1934,
    "Statistical methods for research workers", section 21.02; two-sided as SciPy and R have it.
    """
    all_hits, everything = hits + other_hits, total + other_total
    fewest, most = max(0, all_hits - other_total), min(total, all_hits)
    k = np.arange(fewest, most, dtype=np.float64)
    # The hypergeometric probability of k + 1 hits over that of k.
    steps = (total - k) * (all_hits - k) / ((k + 1) * (everything - total - all_hits + k + 1))
    logs = np.concatenate([[0.0], np.cumsum(np.log(steps))])
    chances = np.exp(logs - logs.max())
    is_counted = logs <= logs[hits - fewest] + _EQUAL
    return float(chances[is_counted].sum() / chances.sum())
