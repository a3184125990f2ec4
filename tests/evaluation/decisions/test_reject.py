"""The reject option: what it guarantees, by simulations with known error rates."""

import numpy as np
import pytest
from scipy.stats import binom

from imgrec.evaluation.decisions.binomial import upper_bound
from imgrec.evaluation.decisions.reject import COVERAGES, RejectRule, fewest_predictions, fit_reject


def drawn(rng: np.random.Generator, count: int):
    """Return confidences, even in [0.5, 1], and which predictions are incorrect: as often as the confidence implies."""
    confidence = rng.uniform(0.5, 1, count)
    return confidence, rng.random(count) > confidence


def true_risk(threshold: float) -> float:
    """Return the risk of the predictions above a threshold, for what `drawn` draws."""
    return (1 - max(threshold, 0.5)) / 2


@pytest.mark.parametrize(("count", "risk", "delta"), [(400, 0.15, 0.1), (1000, 0.1, 0.05), (1000, 0.15, 0.2)])
def test_the_true_risk_is_above_the_guarantee_at_most_as_often_as_delta_says(count, risk, delta):
    rng = np.random.default_rng(count)
    rules = [fit_reject(*drawn(rng, count), risk=risk, delta=delta) for _ in range(300)]
    broken = sum(rule is not None and true_risk(rule.threshold) > risk for rule in rules)
    assert binom.sf(broken - 1, 300, delta) > 0.001  # not more than chance allows at `delta`
    assert sum(rule is not None for rule in rules) > 100


@pytest.mark.parametrize("count", [100, 1000])
def test_where_confidence_means_nothing_and_the_risk_is_a_hair_too_high_there_is_hardly_ever_a_rule(count):
    """The worst case: every rule breaks the guarantee. A search over all thresholds without correction finds many."""
    rng = np.random.default_rng(count)
    found = searched = 0
    for _ in range(200):
        confidence, is_error = rng.random(count), rng.random(count) < 0.1001
        found += fit_reject(confidence, is_error, risk=0.1, delta=0.1) is not None
        wrong = np.cumsum(is_error[np.argsort(-confidence)])
        searched += bool((binom.cdf(wrong, np.arange(1, count + 1), 0.1) <= 0.1).any())
    assert binom.sf(found - 1, 200, 0.1) > 0.001
    assert binom.sf(searched - 1, 200, 0.1) < 0.001


def test_the_rule_accepts_what_is_above_the_threshold_and_remembers_what_it_did():
    confidence, is_error = drawn(np.random.default_rng(1), 2000)
    rule = fit_reject(confidence, is_error, risk=0.1, delta=0.05)
    assert rule is not None
    accepted = rule.accept(confidence)
    np.testing.assert_array_equal(accepted, confidence > rule.threshold)
    assert (rule.num_accepted, rule.num_errors) == (accepted.sum(), is_error[accepted].sum())
    assert rule.num_errors / rule.num_accepted < rule.upper_bound <= 0.1
    assert rule.num_accepted / 2000 in COVERAGES


def test_the_next_wider_share_would_not_do():
    confidence, is_error = drawn(np.random.default_rng(1), 2000)
    rule = fit_reject(confidence, is_error, risk=0.1, delta=0.05)
    assert rule is not None
    order = np.argsort(-confidence)
    wider = order[: rule.num_accepted + 100]
    tests = sum(int(share * 2000) >= fewest_predictions(risk=0.1, delta=0.05 / 20) for share in COVERAGES)
    assert upper_bound(int(is_error[wider].sum()), len(wider), delta=0.05 / tests) > 0.1


def test_where_all_are_correct_all_are_accepted():
    rule = fit_reject(np.linspace(0.3, 1, 400), np.zeros(400, dtype=bool), risk=0.05, delta=0.05)
    assert rule is not None
    assert (rule.num_accepted, rule.num_errors) == (400, 0)
    assert rule.accept(np.array([0.0])).all()


def test_an_impossible_risk_gives_no_rule():
    confidence, _ = drawn(np.random.default_rng(1), 1000)
    assert fit_reject(confidence, np.ones(1000, dtype=bool), risk=0.05, delta=0.05) is None


def test_59_correct_predictions_show_a_risk_of_5_percent_and_58_do_not():
    """0.95 ** 59 is below 0.05: the rule of three."""
    assert fewest_predictions(risk=0.05, delta=0.05) == 59
    right = np.zeros(59, dtype=bool)
    assert fit_reject(np.linspace(0, 1, 59), right, risk=0.05, delta=0.05) is not None
    assert fit_reject(np.linspace(0, 1, 58), right[:58], risk=0.05, delta=0.05) is None


def test_equal_confidences_are_accepted_together_or_not_at_all():
    confidence = np.repeat([1.0, 0.6], [500, 500])
    is_error = np.arange(1000) >= 800
    rule = fit_reject(confidence, is_error, risk=0.05, delta=0.05)
    assert rule is not None
    assert (rule.threshold, rule.num_accepted, rule.num_errors) == (0.6, 500, 0)


def test_only_ties_leave_nothing_to_accept():
    assert fit_reject(np.ones(100), np.arange(100) < 50, risk=0.05, delta=0.05) is None


def test_a_rule_is_strict_at_its_threshold():
    rule = RejectRule(0.8, 0.05, 0.05, 1, 0, 1, 0.05)
    assert rule.accept(np.array([0.8, np.nextafter(0.8, 1)])).tolist() == [False, True]
