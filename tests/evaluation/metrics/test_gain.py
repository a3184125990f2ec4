"""The paired bootstrap against resampling in a loop, and what it must not find."""

import numpy as np
import pytest

from imgrec.evaluation.metrics.gain import measure_gain
from imgrec.evaluation.metrics.shares import shares

RNG = np.random.default_rng(0)


def test_the_interval_is_that_of_resampled_images():
    labels = RNG.integers(0, 3, 300)
    one, two = (np.where(RNG.random(300) < share, labels, (labels + 1) % 3) for share in (0.7, 0.8))
    found = measure_gain(shares(labels, one), shares(labels, two), seed=1)
    gains = (two == labels).astype(float) - (one == labels)
    rows = RNG.integers(0, 300, (4000, 300))
    assert found.difference == pytest.approx(gains.mean())
    assert (found.low, found.high) == pytest.approx(np.quantile(gains[rows].mean(axis=1), [0.025, 0.975]), abs=0.008)


def test_several_labels_are_resampled_by_image():
    labels = (RNG.random((200, 4)) < 0.4).astype(np.uint8)
    one, two = (np.where(RNG.random(labels.shape) < share, labels, 1 - labels).astype(np.uint8) for share in (0.7, 0.8))
    first, second = shares(labels, one), shares(labels, two)
    found = measure_gain(first, second, seed=1)
    rows = RNG.integers(0, 200, (4000, 200))
    scores = [part.part[rows].sum(axis=1) / part.whole[rows].sum(axis=1) for part in (second, first)]
    assert (found.low, found.high) == pytest.approx(np.quantile(scores[0] - scores[1], [0.025, 0.975]), abs=0.01)


def test_the_same_predictions_differ_by_nothing():
    labels = RNG.integers(0, 3, 50)
    same = shares(labels, (labels + (RNG.random(50) < 0.5)) % 3)
    found = measure_gain(same, same, seed=1)
    assert (found.difference, found.low, found.high) == (0, 0, 0)


def test_the_seed_decides():
    labels = RNG.integers(0, 3, 50)
    one, two = shares(labels, (labels + 1) % 3), shares(labels, np.zeros(50, dtype=np.int64))
    assert measure_gain(one, two, seed=1) == measure_gain(one, two, seed=1)
