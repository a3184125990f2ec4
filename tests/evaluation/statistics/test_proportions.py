"""Shares and their intervals, against scipy and counts by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from imgrec.evaluation.statistics.proportions import screen, wilson


@given(st.integers(1, 3000), st.data(), st.sampled_from([0.9, 0.95, 0.99]))
def test_the_interval_is_scipys(total, data, level):
    hits = data.draw(st.integers(0, total))
    expected = binomtest(hits, total).proportion_ci(level, method="wilson")
    np.testing.assert_allclose(wilson(hits, total, level=level), [expected.low, expected.high], rtol=0, atol=1e-9)


def test_it_ends_exactly_at_nothing_and_everything():
    assert wilson(0, 17)[0] == 0 and wilson(17, 17)[1] == 1


def test_arrays_are_intervals_each_by_itself_and_nothing_of_nothing_is_undefined():
    low, high = wilson(np.array([1, 0]), np.array([2, 0]))
    np.testing.assert_allclose([low[0], high[0]], wilson(1, 2))
    assert np.isnan([low[1], high[1]]).all()


def test_screening_counts_what_lies_above_the_threshold():
    scores, is_positive = np.array([0.9, 0.5, 0.4, 0.8, 0.1]), np.array([True, True, True, False, False])
    found = screen(scores, is_positive, threshold=0.5)
    counts = {name: (share["hits"], share["total"]) for name, share in found.items()}
    assert counts == {"sensitivity": (1, 3), "specificity": (1, 2), "ppv": (1, 2), "npv": (1, 3)}
    assert found["npv"]["value"] == 1 / 3
    assert found["npv"]["interval"] == wilson(1, 3).tolist()


@pytest.mark.parametrize(("threshold", "undefined"), [(2.0, "ppv"), (-1.0, "npv")])
def test_a_predictive_value_of_no_call_is_undefined(threshold, undefined):
    found = screen(np.array([0.2, 0.7]), np.array([False, True]), threshold=threshold)
    assert np.isnan(found[undefined]["value"]) and found[undefined]["interval"] is None
    assert sum(share["interval"] is None for share in found.values()) == 1
