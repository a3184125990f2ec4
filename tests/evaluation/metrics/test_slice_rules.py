"""How columns are cut into slices."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from imgrec.evaluation.metrics.slice_rules import MOST_SLICES, RARE, cut_column


def sizes(cut):
    return {part.label: int(part.chosen.sum()) for part in cut.slices}


def test_numbers_are_cut_at_quantiles_and_the_edges_are_shown():
    cut = cut_column(np.arange(100.0))
    assert cut.edges == [0, 20, 40, 60, 80, 99]
    assert list(sizes(cut).values()) == [20] * 5
    assert [part.low for part in cut.slices] == cut.edges[:-1]
    assert cut.slices[0].label == "0 to 20"


def test_no_part_of_numbers_is_empty_where_a_quantile_lies_between_two_values():
    column = np.array([0.0, 0, 2, -1, 6, 3, 0, 4, 5, 7, 1, 1, 1, 1, 1, 1, 1])
    assert min(sizes(cut_column(column)).values()) > 0


def test_few_numbers_are_cut_by_value():
    cut = cut_column(np.array([1.0, 2, 2, 3] * 5))
    assert (cut.rule, sizes(cut)) == ("by value", {"1": 5, "2": 10, "3": 5})


def test_numbers_that_are_mostly_one_value_still_give_bins_without_gaps():
    cut = cut_column(np.concatenate([np.zeros(90), np.arange(1.0, 31)]))
    assert sum(sizes(cut).values()) == 120


@given(arrays(np.float64, st.integers(1, 60), elements=st.floats(-50, 50) | st.just(np.nan)))
def test_every_number_is_in_one_slice_and_no_more(column):
    cut = cut_column(column)
    if cut.slices:
        assert np.sum([part.chosen for part in cut.slices], axis=0).tolist() == [1] * len(column)
        assert all(part.chosen.any() for part in cut.slices)
    else:
        assert cut.why_not


@given(st.lists(st.sampled_from(["a", "b", "c", "d", ""]), min_size=1, max_size=120))
def test_every_text_is_in_one_slice_and_no_more(column):
    cut = cut_column(column)
    if cut.slices:
        assert np.sum([part.chosen for part in cut.slices], axis=0).tolist() == [1] * len(column)
    else:
        assert cut.why_not


def test_rare_texts_are_pooled_and_counted():
    cut = cut_column(["a"] * 50 + ["b"] * RARE + ["c"] * 3 + ["d"] * (RARE - 1))
    assert sizes(cut) == {"a": 50, "b": RARE, "2 rare values": RARE + 2}
    assert cut.num_pooled == 2


def test_no_more_than_the_most_frequent_texts_have_slices_of_their_own():
    cut = cut_column([f"site {i}" for i in range(40) for _ in range(RARE + i)])
    assert len(cut.slices) == MOST_SLICES + 1
    assert cut.num_pooled == 20
    assert "site 39" in sizes(cut)
    assert "site 0" not in sizes(cut)


def test_what_is_unknown_is_a_slice_of_its_own():
    assert sizes(cut_column(["a"] * 30 + [""] * 4)) == {"a": 30, "no value": 4}
    assert sizes(cut_column(np.array([1.0] * 5 + [np.nan] * 2))) == {"1": 5, "no value": 2}


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (np.full(9, 32.0), "a single value: 32"),
        (np.full(9, np.nan), "no values"),
        (["a"] * 9, "a single value: a"),
        ([""] * 9, "no values"),
        ([str(i) for i in range(50)], "none of its 50 values has 20 images or more"),
    ],
)
def test_a_column_that_divides_nothing_says_why(column, reason):
    cut = cut_column(column)
    assert (list(cut.slices), cut.why_not) == ([], reason)


def test_a_hostile_value_is_written_out():
    assert "a\\nb" in sizes(cut_column(["a\nb"] * 30 + ["c"] * 30))


def test_edges_are_shown_in_as_many_digits_as_tell_them_apart():
    """A network that is sure of most images: three digits would name three slices "1 to 1"."""
    column = 1 - np.logspace(-7, -0.5, 500)
    labels = [part.label for part in cut_column(column).slices]
    assert len(set(labels)) == len(labels) == 5
    assert all(label.split(" to ")[0] != label.split(" to ")[1] for label in labels)
    assert cut_column(np.linspace(0.1, 0.9, 50)).slices[0].label == "0.1 to 0.263"
