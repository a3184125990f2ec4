"""Bins and calibration errors, against torchmetrics, scikit-learn and loops."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import brier_score_loss, log_loss
from torchmetrics.functional.classification import binary_calibration_error, multiclass_calibration_error

from imgrec.evaluation.decisions.calibration import (
    bin_equally_filled,
    bin_equally_wide,
    confidence_and_correct,
    expected_error,
    expected_error_by_chance,
    measure_calibration,
)
from imgrec.evaluation.decisions.probabilities import to_probabilities


def drawn(seed: int, *, samples: int = 400, classes: int = 5, scale: float = 2.0):
    """Return probabilities (N, C), and labels that a network with doubled logits would meet."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(samples, classes)) * scale
    true = to_probabilities(logits, task="single", temperature=2.0)
    labels = np.array([rng.choice(classes, p=row) for row in true])
    return to_probabilities(logits, task="single"), labels


def ece(confidence, is_true, num_bins=15):
    return expected_error(bin_equally_wide(confidence, is_true, num_bins=num_bins))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("num_bins", [1, 7, 15])
def test_the_error_of_equal_widths_is_torchmetrics(seed, num_bins):
    probabilities, labels = drawn(seed)
    confidence, is_correct = confidence_and_correct(probabilities, labels, task="single")
    theirs = multiclass_calibration_error(
        torch.from_numpy(probabilities), torch.from_numpy(labels), num_classes=5, n_bins=num_bins, norm="l1"
    )
    assert ece(confidence, is_correct, num_bins) == pytest.approx(float(theirs), abs=1e-6)  # theirs is in float32


def test_the_error_of_two_outcomes_is_torchmetrics_too():
    rng = np.random.default_rng(0)
    confidence = rng.random(500)
    is_correct = rng.random(500) < confidence**2
    # Theirs is of the probability of the positive class, as ours for several labels is.
    theirs = binary_calibration_error(
        torch.from_numpy(confidence), torch.from_numpy(is_correct.astype(int)), n_bins=15, norm="l1"
    )
    pooled = confidence_and_correct(confidence[:, None], is_correct[:, None].astype(np.uint8), task="multilabel")
    assert ece(*pooled) == pytest.approx(float(theirs), abs=1e-6)


@pytest.mark.parametrize("samples", [1, 2, 14, 15, 16, 400])
def test_bins_of_equal_counts_are_those_of_a_loop(samples):
    probabilities, labels = drawn(1, samples=samples)
    confidence, is_correct = confidence_and_correct(probabilities, labels, task="single")
    order = sorted(range(samples), key=lambda i: confidence[i])
    parts = [part for part in np.array_split(order, 15) if len(part)]
    by_hand = sum(abs(sum(is_correct[i] - confidence[i] for i in part)) for part in parts) / samples
    bins = bin_equally_filled(confidence, is_correct)
    assert expected_error(bins) == pytest.approx(by_hand, abs=1e-12)
    assert max(one.count for one in bins) - min(one.count for one in bins) <= 1
    assert sum(one.count for one in bins) == samples


def test_equal_confidences_share_a_bin():
    confidence = np.repeat([0.5, 0.9], [60, 40])
    bins = bin_equally_filled(confidence, np.arange(100) % 2 == 0)
    assert [(one.lower, one.upper, one.count) for one in bins] == [(0.5, 0.5, 60), (0.9, 0.9, 40)]


def test_a_bin_has_mean_confidence_accuracy_and_its_interval():
    (one,) = bin_equally_wide(np.array([0.81, 0.83, 0.85]), np.array([True, True, False]), num_bins=10)
    assert (one.lower, one.upper, one.count) == (pytest.approx(0.8), pytest.approx(0.9), 3)
    assert one.confidence == pytest.approx(0.83)
    assert one.accuracy == pytest.approx(2 / 3)
    assert 0 < one.accuracy_low < 2 / 3 < one.accuracy_high < 1


def test_edges_belong_to_the_bin_below_and_nothing_falls_out():
    bins = bin_equally_wide(np.array([0.0, 0.5, 1.0]), np.array([True, True, True]), num_bins=2)
    assert [one.count for one in bins] == [2, 1]


def test_a_calibrated_network_shows_about_the_error_by_chance():
    rng = np.random.default_rng(3)
    confidence = rng.beta(4, 1, size=1000)
    found = [ece(confidence, rng.random(1000) < confidence) for _ in range(300)]
    assert expected_error_by_chance(confidence) == pytest.approx(np.mean(found), rel=0.1)


@pytest.mark.parametrize("seed", range(3))
def test_proper_scores_are_scikit_learns(seed):
    probabilities, labels = drawn(seed)
    found = measure_calibration(probabilities, labels, task="single")
    assert found["log_loss"] == pytest.approx(log_loss(labels, probabilities, labels=range(5)), abs=1e-12)
    is_true = labels[:, None] == np.arange(5)
    of_classes = [brier_score_loss(is_true[:, i], probabilities[:, i]) for i in range(5)]
    assert found["brier"] == pytest.approx(sum(of_classes), abs=1e-12)
    by_class = [ece(probabilities[:, i], is_true[:, i]) for i in range(5)]
    assert found["ece_classwise"] == pytest.approx(np.mean(by_class), abs=1e-12)


def test_each_of_several_labels_counts_as_a_prediction():
    rng = np.random.default_rng(5)
    probabilities = rng.random((200, 4))
    labels = (rng.random((200, 4)) < probabilities).astype(np.uint8)
    found = measure_calibration(probabilities, labels, task="multilabel")
    assert sum(one["count"] for one in found["bins_width"]) == 800
    assert found["brier"] == pytest.approx(np.mean((probabilities - labels) ** 2), abs=1e-12)
    assert found["log_loss"] == pytest.approx(log_loss(labels.ravel(), probabilities.ravel()), abs=1e-12)


def test_a_certain_mistake_costs_much_and_not_infinitely_much():
    found = measure_calibration(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([0, 1]), task="single")
    assert math.isfinite(found["log_loss"])
    assert found["log_loss"] > 300
