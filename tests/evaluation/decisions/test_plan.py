"""The plan of decisions: what it fits, what it refuses, and whether the guarantees hold with a fitted temperature."""

import re

import numpy as np
import pytest
from scipy.stats import binom

from decided import CLASSES, fitted, make_plan, several, table
from imgrec.errors import ConfigError
from imgrec.evaluation.decisions import Plan


def fit(plan, logits, labels, **changes):
    return plan.fit(logits, labels, **{"task": "single", "class_names": CLASSES, "split": "val", **changes})


def test_rules_are_named_by_what_they_guarantee():
    logits, labels = table(1, samples=3000)
    plan = Plan(risks=[0.25, 0.125], conformal=["lac", "aps"], coverages=[0.9, 0.995])
    decisions = fit(plan, logits, labels)
    assert list(decisions.conformal) == ["lac_90", "lac_99.5", "aps_90", "aps_99.5"]
    assert [*decisions.reject, *decisions.refused] == ["risk_25", "risk_12.5"]


def test_a_network_with_doubled_logits_gets_temperature_2_unless_none_is_wanted():
    assert fitted().temperature == pytest.approx(2, rel=0.2)
    assert fitted(temperature=False).temperature == 1


def test_the_same_images_give_the_same_decisions():
    assert fitted() == fitted()


def test_rules_are_fitted_on_probabilities_at_the_temperature():
    decisions = fitted()
    logits, labels = table(1)
    probabilities = decisions.probabilities(logits)
    covered = decisions.conformal["lac_90"].sets(probabilities)[np.arange(600), labels].sum()
    assert covered == 541  # ceil(601 * 0.9)


def test_a_temperature_fitted_on_the_same_images_does_not_break_the_guarantee():
    """One number fitted on 60 images: a bias that 1,500 draws do not show."""
    rng = np.random.default_rng(5)
    plan = Plan(conformal=["lac", "aps"], coverages=[0.8])
    covered = {"lac_80": 0, "aps_80": 0}
    for _ in range(1500):
        logits, labels = table(int(rng.integers(2**31)), samples=61)
        sets = fit(plan, logits[1:], labels[1:]).decide(logits[:1]).prediction_sets
        covered = {name: count + int(sets[name][0, labels[0]]) for name, count in covered.items()}
    assert all(binom.cdf(count, 1500, 0.8) > 0.001 for count in covered.values())


def test_an_infeasible_risk_is_refused_and_said_so():
    logits, labels = table(1)
    decisions = fit(Plan(risks=[0.01]), logits, labels)
    assert not decisions.reject
    assert re.match(
        r"No confidence threshold guarantees an error rate of at most 1 %: \d+ of 600 predictions are incorrect",
        decisions.refused["risk_1"],
    )


def test_too_few_images_for_a_guarantee_are_said_so():
    logits, labels = table(1, samples=12)
    decisions = fit(make_plan(risks=[0.01], coverages=[0.9, 0.95]), logits, labels)
    assert decisions.refused["risk_1"] == (
        "12 images are too few to guarantee an error rate of at most 1 %: even without errors it takes 299 or more."
    )
    assert decisions.refused["lac_95"] == "12 images are too few for 95 % coverage: it takes 19 or more."
    assert "lac_90" in decisions.conformal


def test_a_class_with_few_images_has_no_operating_point_and_the_others_have():
    logits, labels = table(1, samples=300)
    kept = (labels != 2) | (np.cumsum(labels == 2) <= 5)
    decisions = fit(Plan(operating_points={"s": {"sensitivity": 0.9}}), logits[kept], labels[kept])
    assert decisions.operating_points["s"].thresholds[2] is None
    assert None not in decisions.operating_points["s"].thresholds[:2]
    assert decisions.refused["s"] == ("90 % sensitivity takes 9 or more images with it; there are fewer for wasp.")


def test_of_two_classes_the_second_is_the_positive_one_unless_another_is_named():
    logits, labels = table(1)
    two, names = (logits[labels < 2][:, :2], labels[labels < 2]), {"class_names": ("healthy", "ill")}
    points = {"a": {"sensitivity": 0.9}, "b": {"sensitivity": 0.9, "classes": ["healthy"]}}
    decisions = fit(Plan(operating_points=points), *two, **names)
    assert [one is None for one in decisions.operating_points["a"].thresholds] == [True, False]
    assert [one is None for one in decisions.operating_points["b"].thresholds] == [False, True]


def test_one_class_in_validation_is_said_so_and_gives_the_others_no_threshold():
    logits, _ = table(1)
    decisions = fit(Plan(operating_points={"s": {"sensitivity": 0.9}}), logits, np.zeros(600, dtype=np.int64))
    assert any("All images that the rules were fitted on are ant" in note for note in decisions.notes)
    assert decisions.operating_points["s"].thresholds[1:] == (None, None)


def test_groups_of_several_images_are_said_to_weaken_the_guarantees():
    logits, labels = table(1, samples=100)
    alone = fit(Plan(), logits, labels, groups=[str(i) for i in range(100)])
    together = fit(Plan(), logits, labels, groups=[str(i // 10) for i in range(100)])
    assert not alone.notes
    assert "The 100 images are from 10 groups (up to 10 in one)" in together.notes[0]


def test_several_labels_have_lac_sets_thresholds_for_each_label_and_a_reject_option():
    logits, labels = several(1)
    plan = make_plan(costs={}, risks=[0.6])
    decisions = fit(plan, logits, labels, task="multilabel")
    assert decisions.temperature == pytest.approx(2, rel=0.2)
    assert list(decisions.conformal) == ["lac_90"]
    assert decisions.refused == {"aps_90": "APS needs one label per image. Use LAC."}
    assert None not in decisions.operating_points["sensitive"].thresholds
    rule = decisions.reject["risk_60"]
    decided = decisions.decide(logits)
    wrong = (decided.predictions != labels).any(axis=1)
    assert (rule.num_accepted, rule.num_errors) == (
        (~decided.rejected["risk_60"]).sum(),
        wrong[~decided.rejected["risk_60"]].sum(),
    )


def test_images_without_any_label_give_no_sets():
    logits, labels = several(1)
    decisions = fit(Plan(conformal=["lac"], coverages=[0.9]), logits, labels * 0, task="multilabel")
    assert decisions.refused["lac_90"] == "No image has a label, so there is nothing to cover."


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"risks": [0.01, 1.5]}, "decisions.risks=1.5, but it must be above 0 and below 1."),
        ({"coverages": [90]}, "decisions.coverages=90, but it must be above 0 and below 1."),
        ({"delta": 0}, "decisions.delta=0, but it must be above 0 and below 1."),
        ({"holdout": 1.0}, "decisions.holdout=1.0, but it must be above 0 and below 1."),
        ({"holdout": 0}, "decisions.holdout=0, but it must be above 0 and below 1."),
        ({"conformal": ["raps"]}, "decisions.conformal=raps: use one of lac, aps."),
        (
            {"operating_points": {"s": {"sensitivty": 0.9}}},
            "decisions.operating_points.s.sensitivty is not a key of an operating point (sensitivity, ",
        ),
        (
            {"operating_points": {"s": {"sensitivity": 0.9, "specificity": 0.9}}},
            "decisions.operating_points.s: give sensitivity or specificity",
        ),
        ({"operating_points": {"s": {"classes": ["ant"]}}}, "decisions.operating_points.s: give sensitivity or"),
        ({"operating_points": {"s": {"sensitivity": 95}}}, "s.sensitivity=95, but it must be above 0 and below 1."),
        ({"operating_points": {"s": 0.95}}, "decisions.operating_points.s=0.95, but it must be of the form"),
        (
            {"operating_points": {"s": {"sensitivity": 0.9, "classes": "ant"}}},
            "decisions.operating_points.s.classes='ant', but it must be a list of classes.",
        ),
    ],
)
def test_a_plan_that_cannot_be_is_refused_by_its_key(arguments, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        Plan(**arguments)


@pytest.mark.parametrize(
    ("arguments", "task", "message"),
    [
        (
            {"operating_points": {"s": {"sensitivity": 0.9, "classes": ["ax"]}}},
            "single",
            "s.classes: 'ax' is not a class",
        ),
        ({"costs": {"x": {"bea": {"ant": 1}}}}, "single", "x: 'bea' is not a class of the data. Did you mean 'bee'?"),
        ({"costs": {"x": {}}}, "multilabel", "decisions.costs.x: costs need one label per image."),
    ],
)
def test_what_does_not_fit_the_classes_is_found_before_training(arguments, task, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        Plan(**arguments).check(CLASSES, task=task)
