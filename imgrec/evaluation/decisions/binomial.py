"""Exact (Clopper-Pearson) bounds and intervals of a proportion; guarantees are made by these.

SciPy is imported where a bound is computed: applying rules that are already fitted does not need it.
"""

from imgrec.evaluation.statistics.level import LEVEL

__all__ = ["exact_interval", "upper_bound"]


def upper_bound(errors: int, total: int, *, delta: float) -> float:
    """Return the exact upper bound of an error rate, which holds with probability 1 - delta or more.

    Clopper and Pearson 1934: the rate at which `errors` or fewer have probability delta. 1 where `total` is 0.
    """
    from scipy.special import betaincinv

    return 1.0 if errors >= total else float(betaincinv(errors + 1, total - errors, 1 - delta))


def exact_interval(count: int, total: int, *, level: float = LEVEL) -> tuple[float, float]:
    """Return the two-sided Clopper-Pearson interval of count / total; (0, 1) where `total` is 0."""
    tail = (1 - level) / 2
    if not total:
        return 0.0, 1.0
    return 1 - upper_bound(total - count, total, delta=tail), upper_bound(count, total, delta=tail)
