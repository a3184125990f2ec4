"""Areas under many weightings at once, against scikit-learn one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sk

from imgrec.evaluation.statistics import weighted_areas
from imgrec.evaluation.statistics.weighted_areas import make_bands


@st.composite
def rankings(draw):
    """Draw few rows with few different scores (ties), labels, and weights of which many are zero."""
    count = draw(st.integers(2, 25))
    scores = draw(arrays(np.float64, count, elements=st.sampled_from([0.0, 0.1, 0.5, 0.75, 1.0])))
    is_positive = draw(arrays(np.bool_, count))
    weights = draw(arrays(np.float64, (count, 3), elements=st.sampled_from([0.0, 0.0, 1.0, 1.25, 3.0])))
    return scores, is_positive, weights


def sklearn_areas(scores, is_positive, weights):
    there = weights > 0
    positive, negative = (there & is_positive).any(), (there & ~is_positive).any()
    auroc = sk.roc_auc_score(is_positive, scores, sample_weight=weights) if positive and negative else np.nan
    average_precision = sk.average_precision_score(is_positive, scores, sample_weight=weights) if positive else np.nan
    return auroc, average_precision


@settings(max_examples=200, deadline=None)
@given(rankings())
def test_areas_are_scikit_learns_with_sample_weights(ranking):
    scores, is_positive, weights = ranking
    ours = make_bands(scores, is_positive).areas(weights, weights.sum(axis=0))
    expected = [sklearn_areas(scores, is_positive, column) for column in weights.T]
    np.testing.assert_allclose(np.array(ours).T, expected, rtol=0, atol=1e-9)


def test_a_row_may_stand_for_several_scores():
    random = np.random.default_rng(0)
    scores, is_positive = random.random((20, 3)), random.random((20, 3)) < 0.4
    weights = random.integers(0, 3, (20, 5)).astype(float)
    bands = make_bands(scores.ravel(), is_positive.ravel(), rows=np.repeat(np.arange(20), 3))
    ours = bands.areas(weights, 3 * weights.sum(axis=0))
    each = np.repeat(weights, 3, axis=0)
    expected = [sklearn_areas(scores.ravel(), is_positive.ravel(), column) for column in each.T]
    np.testing.assert_allclose(np.array(ours).T, expected, rtol=0, atol=1e-9)


def test_many_scores_are_done_in_parts_with_the_same_result(monkeypatch):
    random = np.random.default_rng(1)
    scores, is_positive, weights = random.random(50), random.random(50) < 0.5, random.random((50, 7))
    bands, total = make_bands(scores, is_positive), weights.sum(axis=0)
    whole = bands.areas(weights, total)
    monkeypatch.setattr(weighted_areas, "MAX_CELLS", 100)
    np.testing.assert_allclose(bands.areas(weights, total), whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize("is_positive", [np.zeros(4, dtype=bool), np.ones(4, dtype=bool)])
def test_one_kind_alone_has_no_auroc(is_positive):
    auroc, average_precision = make_bands(np.arange(4.0), is_positive).areas(np.ones((4, 2)), np.full(2, 4.0))
    assert np.isnan(auroc).all()
    assert np.isnan(average_precision).all() == (not is_positive.any())
