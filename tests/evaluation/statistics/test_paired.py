"""Tests of two classifiers on the same images, against scipy, formulas, and what a null must look like."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from imgrec.evaluation.statistics.paired import (
    FEW_PAIRS,
    combine_errors,
    mcnemar,
    paired_shares,
    student_interval,
    two_sided,
)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_binomial_test_and_from_25_pairs_its_mid_p_variant(a_only, b_only):
    found, total = mcnemar(a_only, b_only), a_only + b_only
    if not total:
        assert found.p == 1
        return
    exact = stats.binomtest(b_only, total).pvalue
    if total < FEW_PAIRS:
        assert (found.method, found.p) == ("exact", pytest.approx(exact, abs=1e-9))
    else:
        expected = exact - stats.binom.pmf(b_only, total, 0.5) if a_only != b_only else 1.0
        assert (found.method, found.p) == ("mid-p", pytest.approx(expected, abs=1e-9))


def test_mcnemar_does_not_mind_which_comes_first_nor_large_numbers():
    assert mcnemar(3, 9).p == mcnemar(9, 3).p
    assert mcnemar(50_000, 50_500).p == pytest.approx(stats.binomtest(50_500, 100_500).pvalue, abs=0.002)
    assert mcnemar(10_000, 20_000).p == pytest.approx(0, abs=1e-12)


def test_p_values_are_uniform_where_the_two_are_equally_good():
    """4,000 pairs of classifiers on 2,000 images: one errs where the other does not on about 400 of them."""
    random = np.random.default_rng(0)
    discordant = random.binomial(2000, 0.2, 4000)
    b_only = random.binomial(discordant, 0.5)
    p = [mcnemar(int(total - b), int(b)).p for total, b in zip(discordant, b_only, strict=True)]
    assert stats.kstest(p, "uniform").pvalue > 0.05
    assert 0.04 < np.mean(np.array(p) < 0.05) < 0.06


def test_with_few_discordant_images_the_test_errs_at_most_as_often_as_it_says():
    for total in (4, 10, 24):
        weights = stats.binom.pmf(range(total + 1), total, 0.5)
        p = np.array([mcnemar(total - b, b).p for b in range(total + 1)])
        for level in (0.01, 0.05, 0.2):
            assert weights[p <= level].sum() <= level


def test_few_discordant_images_have_an_interval_even_where_there_is_none():
    low, high = paired_shares(0, 0, 100)
    assert low == -high and 0 < high < 0.03
    # Agresti and Min 2005: (c - b) / (n + 2) with half an image more in each cell
    b, c, n = 3.5, 9.5, 102
    half = stats.norm.ppf(0.975) * math.sqrt((b + c) - (c - b) ** 2 / n) / n
    assert paired_shares(3, 9, 100) == pytest.approx(((c - b) / n - half, (c - b) / n + half))


def test_independent_errors_add_up_to_welchs_test():
    random = np.random.default_rng(0)
    a, b = random.normal(size=4), random.normal(1, 3, size=7)
    variance, degrees = combine_errors([(a.var(ddof=1) / 4, 3), (b.var(ddof=1) / 7, 6)])
    welch = stats.ttest_ind(b, a, equal_var=False)
    assert degrees == pytest.approx(welch.df)
    assert two_sided(b.mean() - a.mean(), variance, degrees) == pytest.approx(welch.pvalue)
    assert student_interval(b.mean() - a.mean(), variance, degrees) == pytest.approx(tuple(welch.confidence_interval()))


def test_a_part_of_endless_degrees_of_freedom_alone_is_normal():
    variance, degrees = combine_errors([(0.04, math.inf)])
    assert math.isinf(degrees)
    assert student_interval(0.3, variance, degrees) == pytest.approx(stats.norm.interval(0.95, 0.3, 0.2))
    assert two_sided(0.3, variance, degrees) == pytest.approx(2 * stats.norm.sf(1.5))


def test_without_any_variance_a_difference_is_certain():
    assert (two_sided(0.0, 0.0, math.inf), two_sided(0.1, 0.0, math.inf)) == (1, 0)
