"""Holm's correction against its definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgrec.evaluation.statistics.multiple import holm


def by_definition(p_values, alpha):
    """Step down by hand: reject the smallest while it is at most alpha / (number left)."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    rejected = set()
    for rank, place in enumerate(order):
        if p_values[place] > alpha / (len(p_values) - rank):
            break
        rejected.add(place)
    return rejected


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.sampled_from([0.01, 0.05, 0.2]))
def test_what_is_rejected_is_what_the_step_down_procedure_rejects(p_values, alpha):
    adjusted = holm(p_values)
    # Rounding decides where a p-value lies on the very border.
    borders = [abs(p - alpha) < 1e-12 for p in adjusted]
    if not any(borders):
        assert set(np.flatnonzero(adjusted <= alpha)) == by_definition(p_values, alpha)


def test_known_examples_are_multiplied_by_what_is_left_and_never_go_down():
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.01, 0.04, 0.03]).tolist() == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.9]).tolist() == [1, 1]


def test_one_test_is_left_as_it_is_and_none_is_none():
    assert holm([0.3]).tolist() == [0.3]
    assert holm([]).tolist() == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_adjusted_values_are_no_smaller_and_at_most_one(p_values):
    adjusted = holm(p_values)
    assert (adjusted >= np.array(p_values)).all()
    assert (adjusted <= 1).all()
