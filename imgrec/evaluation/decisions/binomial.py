"""Exact bounds and intervals for a share k of n, by which guarantees are made; Wilson's are in imgrec.evaluation.statistics.

SciPy is imported where a bound is computed: a shipped model applies rules that are fitted, and needs none.
"""

__all__ = ["exact_interval", "upper_bound"]


def upper_bound(wrong: int, total: int, *, delta: float) -> float:
    """Return the exact upper bound of a share: with probability 1 - delta or more the true one is not above it.

    Clopper and Pearson 1934: the share at which so few wrong ones have probability delta. 1 when nothing was seen.
    """
    from scipy.stats import beta

    return 1.0 if wrong >= total else float(beta.ppf(1 - delta, wrong + 1, total - wrong))


def exact_interval(count: int, total: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Return Clopper and Pearson's two-sided interval for the share count / total; (0, 1) when nothing was seen."""
    tail = (1 - confidence) / 2
    if not total:
        return 0.0, 1.0
    return 1 - upper_bound(total - count, total, delta=tail), upper_bound(count, total, delta=tail)
