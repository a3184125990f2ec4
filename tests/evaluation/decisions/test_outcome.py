"""Decision rules on labelled images, counted by hand."""

import json

import numpy as np
import pytest
from scipy.stats import betabinom, binomtest

from decided import CLASSES, COSTS, fitted, make_plan, several, table
from imgrec.evaluation.decisions import Decisions, Plan
from imgrec.evaluation.decisions.outcome import measure_outcome


@pytest.fixture(scope="module")
def scored():
    decisions, (logits, labels) = fitted(), table(2, samples=500)
    return decisions, decisions.decide(logits), labels, measure_outcome(decisions, logits, labels)


def test_it_is_plain_data_without_nan(scored):
    *_, outcome = scored
    json.dumps(outcome, allow_nan=False)


def test_a_reject_option_counts_accepted_predictions_and_errors_among_them(scored):
    decisions, decided, labels, outcome = scored
    (rule,) = outcome["reject"]
    accepted = ~decided.rejected["risk_30"]
    wrong = int((decided.predictions != labels)[accepted].sum())
    here = rule["here"]
    assert (here["num_accepted"], here["num_errors"], here["num_samples"]) == (accepted.sum(), wrong, 500)
    assert here["risk"] == wrong / accepted.sum()
    interval = binomtest(wrong, int(accepted.sum())).proportion_ci(method="exact")
    assert (here["risk_low"], here["risk_high"]) == pytest.approx((interval.low, interval.high))
    assert (rule["name"], rule["risk"], rule["threshold"]) == ("risk_30", 0.3, decisions.reject["risk_30"].threshold)
    assert here["is_refuted"] is False


def test_a_broken_guarantee_is_refuted(scored):
    decisions, *_ = scored
    logits, labels = table(3)
    worse = np.where(np.arange(600) % 2 == 0, labels, (labels + 1) % 3)
    (rule,) = measure_outcome(decisions, logits, worse)["reject"]
    assert rule["here"]["is_refuted"] is True


def test_what_accepts_nothing_has_no_risk(scored):
    decisions, *_ = scored
    (rule,) = measure_outcome(decisions, np.zeros((5, 3)), np.zeros(5, dtype=np.int64))["reject"]
    assert (rule["here"]["num_accepted"], rule["here"]["risk"], rule["here"]["risk_low"]) == (0, None, None)
    assert rule["here"]["is_refuted"] is False


def test_the_curve_gives_the_risk_at_each_coverage(scored):
    _, decided, labels, outcome = scored
    curve = outcome["risk_coverage"]
    assert len(curve["risk"]) == 200
    is_error = decided.predictions != labels
    for coverage, risk, lowest in zip(curve["coverage"], curve["risk"], curve["lowest_confidence"], strict=True):
        is_inside = decided.confidence >= lowest
        assert is_inside.mean() == pytest.approx(coverage)
        assert is_error[is_inside].mean() == pytest.approx(risk)
    order = np.argsort(-decided.confidence, kind="stable")
    assert curve["aurc"] == pytest.approx(np.mean([is_error[order[:i]].mean() for i in range(1, 501)]))


def test_sets_are_counted_by_size_and_by_class(scored):
    _, decided, labels, outcome = scored
    for rule in outcome["conformal"]:
        sets, here = decided.prediction_sets[rule["name"]], rule["here"]
        assert here["sizes"] == [int((sets.sum(axis=1) == size).sum()) for size in range(4)]
        assert here["mean_size"] == sets.sum() / 500
        assert here["covered"] == sets[np.arange(500), labels].sum()
        assert here["coverage"] == here["covered"] / 500
        for i, row in enumerate(here["per_class"]):
            assert row["class"] == CLASSES[i]
            assert row["coverage"] == sets[labels == i, i].mean()


def test_the_expected_coverage_is_beta_binomial(scored):
    rule = scored[3]["conformal"][0]
    expected = betabinom(500, 541, 601 - 541)  # ceil(601 * 0.9) of 600
    assert rule["here"]["expected_low"] == expected.ppf(0.025) / 500
    assert rule["here"]["expected_high"] == expected.ppf(0.975) / 500
    assert rule["here"]["is_refuted"] is False


def test_an_operating_point_has_the_four_counts_of_each_class(scored):
    _, decided, labels, outcome = scored
    sensitive, specific = outcome["operating_points"]
    assert [row["class"] for row in specific["here"]] == ["bee"]
    for i, row in enumerate(sensitive["here"]):
        called, true = decided.operating_points["sensitive"][:, i], labels == i
        assert row["true_positives"] == (called & true).sum()
        assert row["sensitivity"] == called[true].mean()
        assert row["specificity"] == (~called)[~true].mean()
        assert row["ppv"] == true[called].mean()
        assert row["npv"] == (~true)[~called].mean()


def test_a_class_without_images_has_no_sensitivity(scored):
    decisions, *_ = scored
    rows = measure_outcome(decisions, np.zeros((4, 3)), np.zeros(4, dtype=np.int64))["operating_points"][0]["here"]
    assert rows[1]["sensitivity"] is None
    assert rows[0]["sensitivity"] is not None


def test_costs_are_compared_with_those_of_the_most_probable_class(scored):
    _, decided, labels, outcome = scored
    (rule,) = outcome["costs"]
    table_of_costs = np.array(rule["costs"])
    assert table_of_costs[2, 0] == COSTS["triage"]["wasp"]["ant"] == 10
    assert rule["here"]["mean_cost"] == table_of_costs[labels, decided.lowest_cost["triage"]].mean()
    assert rule["here"]["mean_cost_of_most_probable"] == table_of_costs[labels, decided.predictions].mean()
    assert rule["here"]["mean_cost"] < rule["here"]["mean_cost_of_most_probable"]
    assert rule["here"]["changed"] == (decided.lowest_cost["triage"] != decided.predictions).sum()


def test_several_labels_are_covered_by_their_mean_share():
    plan = make_plan(costs={}, conformal=["lac"], risks=[])
    decisions = plan.fit(*several(1), task="multilabel", class_names=CLASSES, split="val")
    logits, labels = several(2)
    outcome = measure_outcome(decisions, logits, labels)
    json.dumps(outcome, allow_nan=False)
    sets = decisions.decide(logits).prediction_sets["lac_90"]
    shares = [sets[i][labels[i] == 1].mean() for i in range(600) if labels[i].any()]
    here = outcome["conformal"][0]["here"]
    assert here["coverage"] == pytest.approx(np.mean(shares))
    assert here["coverage_low"] < 0.93
    assert here["covered"] is None


def test_no_labels_at_all_leave_the_coverage_undefined():
    plan = Plan(conformal=["lac"], coverages=[0.9])
    decisions = plan.fit(*several(1), task="multilabel", class_names=CLASSES, split="val")
    here = measure_outcome(decisions, several(2)[0], np.zeros((600, 3), dtype=np.uint8))["conformal"][0]["here"]
    assert here["coverage"] is None


def test_without_rules_there_are_none_to_report():
    outcome = measure_outcome(Decisions("single", CLASSES, notes=("why",)), *table(1))
    assert (outcome["reject"], outcome["conformal"], outcome["costs"], outcome["notes"]) == ([], [], [], ["why"])
