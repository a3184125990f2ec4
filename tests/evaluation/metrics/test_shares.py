"""Scores of subsets against scikit-learn and SciPy, and their differences against formulas written naively."""

import numpy as np
import pytest
from scipy.stats import binomtest, fisher_exact
from sklearn.metrics import accuracy_score, f1_score

from imgrec.evaluation.metrics.shares import shares

RNG = np.random.default_rng(3)


def single(n=200, accuracy=0.8):
    labels = RNG.integers(0, 4, n)
    return labels, np.where(RNG.random(n) < accuracy, labels, (labels + 1) % 4)


def several(n=300):
    labels = (RNG.random((n, 5)) < 0.3).astype(np.uint8)
    return labels, np.where(RNG.random((n, 5)) < 0.8, labels, 1 - labels).astype(np.uint8)


def test_accuracy_is_scikit_learns_and_its_interval_is_wilsons():
    labels, predicted = single()
    chosen = RNG.random(200) < 0.4
    found = shares(labels, predicted).estimate(chosen)
    assert found.value == accuracy_score(labels[chosen], predicted[chosen])
    interval = binomtest(found.num_correct, found.num_samples).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=1e-9)


def test_f1_is_scikit_learns_micro_average():
    labels, predicted = several()
    chosen = RNG.random(300) < 0.4
    found = shares(labels, predicted).estimate(chosen)
    assert found.value == pytest.approx(f1_score(labels[chosen], predicted[chosen], average="micro"))
    assert found.num_correct is None


def test_the_interval_of_f1_is_near_that_of_a_bootstrap():
    labels, predicted = several(800)
    rows = RNG.integers(0, 800, (2000, 800))
    scores = [f1_score(labels[row], predicted[row], average="micro") for row in rows[:400]]
    found = shares(labels, predicted).estimate()
    assert (found.low, found.high) == pytest.approx(np.quantile(scores, [0.025, 0.975]), abs=0.006)


def test_a_difference_has_newcombes_interval_and_fishers_test():
    # Newcombe 1998, table II, 56/70 against 48/80, method 10: 0.0524 to 0.3339
    labels = np.zeros(150, dtype=np.int64)
    predicted = np.ones(150, dtype=np.int64)
    predicted[:56] = predicted[70:118] = 0
    chosen = np.arange(150) < 70
    found = shares(labels, predicted).compare(chosen)
    assert found.difference == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert found.p_value == pytest.approx(fisher_exact([[56, 14], [48, 32]]).pvalue)


def test_a_difference_of_f1_is_that_of_two_independent_ratios():
    labels, predicted = several()
    chosen = np.arange(300) < 100
    found = shares(labels, predicted).compare(chosen)
    one, rest = (shares(labels, predicted).estimate(side) for side in (chosen, ~chosen))
    assert found.difference == pytest.approx(one.value - rest.value)
    halves = np.hypot(one.high - one.value, rest.high - rest.value)
    assert found.high - found.difference == pytest.approx(halves, rel=1e-6)
    assert 0 <= found.p_value <= 1


def test_no_images_and_no_decisions_are_undefined():
    labels, predicted = single(20)
    nobody = np.zeros(20, dtype=bool)
    assert np.isnan(shares(labels, predicted).estimate(nobody).value)
    assert np.isnan(shares(labels, predicted).compare(nobody).p_value)
    nothing = np.zeros((4, 3), dtype=np.uint8)
    assert np.isnan(shares(nothing, nothing).estimate().value)
