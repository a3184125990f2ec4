"""The class with the lowest expected cost, against a loop, and tables of costs that are refused."""

import re

import numpy as np
import pytest

from imgrec.errors import ConfigError
from imgrec.evaluation.decisions.costs import CostRule, make_cost_rule

CLASSES = ("ant", "bee", "7")


def test_the_prediction_has_the_lowest_expected_cost():
    rng = np.random.default_rng(0)
    costs = rng.uniform(0, 5, (3, 3))
    probabilities = rng.dirichlet(np.ones(3), 200)
    expected = [
        min(range(3), key=lambda predicted: sum(row[true] * costs[true][predicted] for true in range(3)))
        for row in probabilities
    ]
    rule = CostRule(tuple(map(tuple, costs.tolist())))
    np.testing.assert_array_equal(rule.labels(probabilities), expected)


def test_equal_costs_choose_the_most_probable():
    probabilities = np.random.default_rng(1).dirichlet(np.ones(3), 200)
    rule = make_cost_rule("x", {}, class_names=CLASSES)
    assert rule.costs == ((0, 1, 1), (1, 0, 1), (1, 1, 0))
    np.testing.assert_array_equal(rule.labels(probabilities), probabilities.argmax(axis=1))


def test_on_ties_the_more_probable_class_is_predicted():
    rule = CostRule(((0.0, 0.0, 0.0),) * 3)
    assert rule.labels(np.array([[0.2, 0.5, 0.3]])).tolist() == [1]


def test_two_classes_meet_at_the_threshold_of_the_textbook():
    """Elkan 2001: predict 1 where p >= cost of a false alarm / (that + cost of a miss)."""
    rule = make_cost_rule("x", {"bee": {"ant": 9}}, class_names=("ant", "bee"))
    positive = np.array([0.09, 0.11])
    assert rule.labels(np.column_stack([1 - positive, positive])).tolist() == [0, 1]


def test_what_is_not_named_costs_1_and_a_class_may_be_a_number():
    rule = make_cost_rule("x", {"ant": {"bee": 20}, 7: {"ant": 0.5, "7": 0.1}}, class_names=CLASSES)
    assert rule.costs == ((0, 20, 1), (1, 0, 1), (0.5, 1, 0.1))


@pytest.mark.parametrize(
    ("costs", "message"),
    [
        ({"aunt": {"bee": 1}}, "costs.x: 'aunt' is not a class of the data. Did you mean 'ant'? Classes: ant, bee, 7."),
        ({"ant": {"wasp": 1}}, "costs.x.ant: 'wasp' is not a class of the data. Classes: ant, bee, 7."),
        ({"ant": {"bee": -1}}, "costs.x.ant.bee=-1, but it must be at least 0."),
        ({"ant": {"bee": "much"}}, "costs.x.ant.bee='much', but it must be a finite number."),
        ({"ant": [1, 2]}, "costs.x.ant=[1, 2], but it must be of the form {name: value}."),
        ([[0, 1], [1, 0]], "costs.x=[[0, 1], [1, 0]], but it must be of the form {name: value}."),
    ],
)
def test_what_is_no_table_of_costs_is_refused(costs, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        make_cost_rule("costs.x", costs, class_names=CLASSES)
