"""Operating points, against scikit-learn's curve and by simulation."""

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.metrics import roc_curve

from imgrec.evaluation.decisions.operating import OperatingPoint, fit_threshold


def drawn(rng: np.random.Generator, count: int, *, share: float = 0.3):
    is_positive = rng.random(count) < share
    return 1 / (1 + np.exp(-(rng.normal(size=count) + 2 * is_positive - 1))), is_positive


def rates(scores, is_positive, threshold):
    called = scores >= threshold
    return called[is_positive].mean(), (~called[~is_positive]).mean()


@pytest.mark.parametrize("target", [0.8, 0.95])
@pytest.mark.parametrize("measure", ["sensitivity", "specificity"])
def test_it_is_a_point_of_scikit_learns_curve_the_best_that_the_safe_side_allows(measure, target):
    scores, is_positive = drawn(np.random.default_rng(1), 500)
    limit = fit_threshold(scores, is_positive, measure=measure, target=target)
    fpr, tpr, _ = roc_curve(is_positive, scores, drop_intermediate=False)
    sensitivity, specificity = rates(scores, is_positive, limit)
    assert np.isclose(tpr, sensitivity)[np.isclose(fpr, 1 - specificity)].any()
    own = int(is_positive.sum() if measure == "sensitivity" else (~is_positive).sum())
    reached = tpr if measure == "sensitivity" else 1 - fpr
    others = 1 - fpr if measure == "sensitivity" else tpr
    is_safe = np.round(reached * own) >= np.ceil((own + 1) * target - 1e-9)
    assert (specificity if measure == "sensitivity" else sensitivity) == pytest.approx(others[is_safe].max())


@pytest.mark.parametrize("measure", ["sensitivity", "specificity"])
def test_the_next_image_is_called_right_as_often_as_wanted(measure):
    rng = np.random.default_rng(2)
    right = total = 0
    for _ in range(1500):
        scores, is_positive = drawn(rng, 121, share=0.5)
        limit = fit_threshold(scores[1:], is_positive[1:], measure=measure, target=0.9)
        if is_positive[0] == (measure == "sensitivity"):
            total += 1
            right += (scores[0] >= limit) == is_positive[0]
    assert binom.cdf(right, total, 0.9) > 0.001


@pytest.mark.parametrize("measure", ["sensitivity", "specificity"])
def test_19_images_are_enough_for_95_percent_and_18_are_not(measure):
    is_positive = np.full(19, measure == "sensitivity")
    scores = np.linspace(0.1, 0.9, 19)
    assert fit_threshold(scores, is_positive, measure=measure, target=0.95) is not None
    assert fit_threshold(scores[:18], is_positive[:18], measure=measure, target=0.95) is None


def test_equal_scores_are_called_alike_on_the_safe_side():
    scores = np.repeat([0.2, 0.7], [50, 50])
    is_positive = np.arange(100) % 2 == 0
    sensitive = fit_threshold(scores, is_positive, measure="sensitivity", target=0.9)
    specific = fit_threshold(scores, is_positive, measure="specificity", target=0.9)
    assert rates(scores, is_positive, sensitive) == (1, 0)
    assert rates(scores, is_positive, specific) == (0, 1)


def test_a_class_without_a_threshold_is_never_called():
    point = OperatingPoint("sensitivity", 0.9, (0.5, None), 100)
    assert point.positive(np.array([[0.5, 1.0], [0.4, 1.0]])).tolist() == [[True, False], [False, False]]
