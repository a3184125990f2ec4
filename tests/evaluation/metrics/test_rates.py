"""The arithmetic under the scores: the undefined stays undefined, and equal scores share a rank."""

import numpy as np
import pytest

from imgrec.evaluation.metrics.rates import mean_defined, name_some, rank


def test_the_mean_leaves_out_the_undefined():
    assert mean_defined(np.array([1.0, np.nan, 0.0])) == 0.5


def test_the_mean_of_the_undefined_is_undefined():
    assert np.isnan(mean_defined(np.array([np.nan, np.nan])))


def test_a_perfect_ranking_has_areas_of_one():
    ranking = rank(np.array([0.1, 0.9, 0.8, 0.2]), np.array([False, True, True, False]))
    assert (ranking.auroc, ranking.average_precision) == (1, 1)


def test_equal_scores_are_chance_whatever_their_order():
    scores, is_positive = np.full(4, 0.5), np.array([True, False, False, False])
    for shift in range(4):
        ranking = rank(scores, np.roll(is_positive, shift))
        assert (ranking.auroc, ranking.average_precision) == (0.5, 0.25)


def test_areas_need_positives_and_auroc_needs_negatives_too():
    scores = np.array([0.1, 0.2])
    nothing, everything = rank(scores, np.zeros(2, dtype=bool)), rank(scores, np.ones(2, dtype=bool))
    assert np.isnan([nothing.auroc, nothing.average_precision, everything.auroc]).all()
    assert everything.average_precision == 1


def test_the_curve_through_recall_and_precision_encloses_the_average_precision():
    random = np.random.default_rng(0)
    scores, is_positive = random.integers(0, 20, 200) / 20, random.random(200) < 0.3
    ranking = rank(scores, is_positive)
    area = np.sum(np.diff(ranking.recall, prepend=0) * ranking.precision)
    assert area == pytest.approx(ranking.average_precision, abs=1e-12)
    assert ranking.recall[-1] == 1


def test_a_note_names_the_first_ten_and_counts_the_rest():
    names = [f"c{i}" for i in range(12)]
    assert name_some(names, np.arange(12) == 3) == "1 class: c3"
    assert name_some(names, np.ones(12, dtype=bool)) == "12 classes: c0, c1, c2, c3, c4, c5, c6, c7, c8, c9 and 2 more"
