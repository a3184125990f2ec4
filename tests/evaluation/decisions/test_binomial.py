"""Bounds of shares, against SciPy."""

import pytest
from scipy.stats import binom, binomtest

from imgrec.evaluation.decisions.binomial import exact_interval, upper_bound

CASES = [(0, 1), (0, 50), (1, 50), (25, 50), (49, 50), (50, 50), (3, 10_000)]


@pytest.mark.parametrize(("count", "total"), CASES)
def test_the_exact_interval_is_scipys(count, total):
    theirs = binomtest(count, total).proportion_ci(confidence_level=0.95, method="exact")
    assert exact_interval(count, total) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


@pytest.mark.parametrize(("count", "total"), [(0, 50), (3, 50), (30, 200)])
def test_at_the_upper_bound_so_few_have_probability_delta(count, total):
    bound = upper_bound(count, total, delta=0.07)
    assert binom.cdf(count, total, bound) == pytest.approx(0.07, abs=1e-9)


def test_of_nothing_nothing_is_known():
    assert exact_interval(0, 0) == (0, 1)
    assert upper_bound(0, 0, delta=0.05) == 1
