"""From a score and its variance to an interval."""

import numpy as np
import pytest
from scipy.stats import binomtest

from imgrec.evaluation.statistics.bootstrap import (
    PRIOR_UNITS,
    blend,
    bounded_interval,
    hanley_mcneil,
    positive_interval,
    variance_of,
)


def test_a_share_with_the_variance_of_a_proportion_gets_wilsons_interval():
    expected = binomtest(30, 40).proportion_ci(method="wilson")
    ours = bounded_interval(0.75, 0.75 * 0.25 / 40, trials=40)
    np.testing.assert_allclose(ours, [expected.low, expected.high], rtol=0, atol=1e-12)


def test_a_perfect_score_has_an_interval_with_a_width_from_its_trials():
    low, high = bounded_interval(1.0, 0.0, trials=25)
    assert (low, high) == (pytest.approx(binomtest(25, 25).proportion_ci(method="wilson").low), 1)


def test_a_score_between_other_ends_keeps_to_them():
    low, high = bounded_interval(0.99, 0.01, trials=25, low=-1, high=1)
    np.testing.assert_allclose([low, high], 2 * bounded_interval(0.995, 0.0025, trials=25) - 1)
    assert -1 < low < 0.99 < high <= 1


def test_few_groups_stretch_the_interval():
    plain, stretched = (bounded_interval(0.8, 0.001, trials=9, stretch=stretch) for stretch in (1.0, 1.2))
    assert stretched[0] < plain[0] and stretched[1] > plain[1]


def test_a_loss_gets_its_interval_on_the_scale_of_logarithms():
    low, high = positive_interval(0.2, 0.05**2)
    np.testing.assert_allclose(np.log([low, high]), np.log(0.2) + np.array([-1, 1]) * 1.959963985 * 0.25, atol=1e-8)


def test_no_variance_no_interval():
    assert np.isnan(bounded_interval(0.5, np.nan, trials=10)).all()
    assert np.isnan(positive_interval(np.nan, 0.1)).all()


def test_the_variance_is_that_of_the_resamples_in_which_the_score_is_defined():
    draws = np.array([[1.0, 2.0, 3.0, np.nan], [1.0, np.nan, np.nan, np.nan]])
    np.testing.assert_array_equal(variance_of(draws), [1.0, np.nan])


def test_a_variance_from_few_units_leans_on_the_model_and_one_from_many_does_not():
    assert blend(0.0, model=1.0, units=PRIOR_UNITS) == 0.5
    assert blend(2.0, model=1.0, units=1e9) == pytest.approx(2)


def test_hanley_and_mcneils_variance_is_that_of_exponential_scores():
    random = np.random.default_rng(0)
    positive, negative = random.exponential(4.0, (4000, 12)), random.exponential(1.0, (4000, 30))
    areas = (positive[:, :, None] > negative[:, None, :]).mean(axis=(1, 2))
    assert areas.var() == pytest.approx(hanley_mcneil(0.8, 12, 30), rel=0.06)


def test_replicates_that_are_equal_but_for_rounding_have_no_variance():
    replicates = np.full((3, 200), 1 / 3) + np.random.default_rng(0).choice([0.0, 5e-17], (3, 200))
    assert variance_of(replicates).tolist() == [0.0, 0.0, 0.0]
    low, high = bounded_interval(1 / 3, variance_of(replicates)[0], trials=11)
    assert 0 < low < 0.2 < 0.5 < high < 1


def test_small_variances_remain():
    replicates = 0.5 + 1e-9 * np.random.default_rng(0).standard_normal(1000)
    assert variance_of(replicates) == pytest.approx(1e-18, rel=0.1)
