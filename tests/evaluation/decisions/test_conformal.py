"""Conformal prediction sets: thresholds against loops, coverage by simulation."""

import math

import numpy as np
import pytest
from scipy.stats import binom

from imgrec.evaluation.decisions.conformal import ConformalRule, fewest_samples, fit_conformal, mass_before
from imgrec.evaluation.decisions.probabilities import to_probabilities

LEVELS = [0.5, 0.8, 0.9, 0.95]


def drawn(rng: np.random.Generator, count: int, *, classes: int = 6):
    """Return probabilities of a network that is overconfident, and labels."""
    logits = rng.normal(size=(count, classes)) * 2
    cumulative = np.cumsum(to_probabilities(logits, task="single"), axis=1)
    labels = (rng.random((count, 1)) > cumulative).sum(axis=1).clip(max=classes - 1)
    return to_probabilities(3 * logits, task="single"), labels


def lac_by_loop(probabilities, labels, coverage):
    """Return the set function of Sadinle et al.: scores 1 - p of the true class, their corrected quantile."""
    scores = sorted(1 - row[label] for row, label in zip(probabilities, labels, strict=True))
    limit = scores[math.ceil(round((len(scores) + 1) * coverage, 9)) - 1]
    return lambda row: [1 - p <= limit + 1e-15 for p in row]


def aps_by_loop(probabilities, labels, coverage):
    """Return the set function of Romano et al. without the random draw: classes until those before exceed the limit."""

    def before(row, label):
        ranked = sorted(range(len(row)), key=lambda i: (-row[i], i))
        return sum(row[i] for i in ranked[: ranked.index(label)])

    scores = sorted(before(row, label) for row, label in zip(probabilities, labels, strict=True))
    limit = scores[math.ceil(round((len(scores) + 1) * coverage, 9)) - 1]
    return lambda row: [before(row, i) <= limit + 1e-12 for i in range(len(row))]


@pytest.mark.parametrize("coverage", LEVELS)
@pytest.mark.parametrize(("method", "by_loop"), [("lac", lac_by_loop), ("aps", aps_by_loop)])
def test_sets_are_those_of_a_loop(method, by_loop, coverage):
    rng = np.random.default_rng(1)
    rule = fit_conformal(*(known := drawn(rng, 150)), task="single", method=method, coverage=coverage)
    probabilities, _ = drawn(rng, 100)
    expected = by_loop(*known, coverage)
    np.testing.assert_array_equal(rule.sets(probabilities), [expected(row) for row in probabilities])


@pytest.mark.parametrize("method", ["lac", "aps"])
@pytest.mark.parametrize(("count", "coverage"), [(19, 0.9), (30, 0.9), (300, 0.95)])
def test_the_next_image_is_covered_as_often_as_guaranteed(method, count, coverage):
    """On the average over draws of the images to fit on and of the next one: what is guaranteed, at any number."""
    rng = np.random.default_rng(count)
    covered = 0
    for _ in range(1500):
        probabilities, labels = drawn(rng, count + 1)
        rule = fit_conformal(probabilities[1:], labels[1:], task="single", method=method, coverage=coverage)
        covered += rule.sets(probabilities[:1])[0, labels[0]]
    assert binom.cdf(covered, 1500, coverage) > 0.001
    if method == "lac":  # without ties it covers no more than the correction adds
        assert binom.sf(covered, 1500, coverage + 1 / (count + 1)) > 0.001


@pytest.mark.parametrize("coverage", LEVELS)
def test_the_fewest_images_are_those_of_the_quantile(coverage):
    fewest = fewest_samples(coverage)
    assert math.ceil(round((fewest + 1) * coverage, 9)) <= fewest
    assert math.ceil(round(fewest * coverage, 9)) > fewest - 1


def test_19_images_can_guarantee_95_percent():
    assert fewest_samples(0.95) == 19
    assert fewest_samples(0.9) == 9


def test_aps_sets_are_never_empty_and_lac_sets_may_be():
    even = np.full((1, 4), 0.25)
    assert ConformalRule("aps", 0.9, 0.0, 100).sets(even).tolist() == [[True, False, False, False]]
    assert not ConformalRule("lac", 0.9, 0.6, 100).sets(even).any()


def test_a_set_takes_classes_in_falling_order_of_probability():
    row = np.array([[0.1, 0.6, 0.3]])
    np.testing.assert_allclose(mass_before(row), [[0.9, 0.0, 0.6]])
    assert ConformalRule("aps", 0.9, 0.7, 100).sets(row).tolist() == [[False, True, True]]


def test_more_coverage_never_takes_a_class_away():
    rng = np.random.default_rng(2)
    known, (probabilities, _) = drawn(rng, 400), drawn(rng, 200)
    for method in ("lac", "aps"):
        smaller, larger = (
            fit_conformal(*known, task="single", method=method, coverage=coverage).sets(probabilities)
            for coverage in (0.8, 0.95)
        )
        assert (larger >= smaller).all()
        assert larger.sum() > smaller.sum()


def several(rng: np.random.Generator, count: int):
    logits = rng.normal(size=(count, 5)) * 2 - 1
    labels = (rng.random((count, 5)) < to_probabilities(logits, task="multilabel")).astype(np.uint8)
    return to_probabilities(2 * logits, task="multilabel"), labels


def missed_by_loop(probabilities, labels, limit):
    """Return the mean share of an image's labels that lie below the limit; an image without labels misses none."""
    shares = [
        np.mean([p < limit for p, is_own in zip(row, own, strict=True) if is_own]) if own.any() else 0.0
        for row, own in zip(probabilities, labels, strict=True)
    ]
    return np.mean(shares)


@pytest.mark.parametrize("coverage", [0.8, 0.95])
def test_with_several_labels_the_threshold_is_the_largest_that_risk_control_allows(coverage):
    probabilities, labels = several(np.random.default_rng(3), 80)
    rule = fit_conformal(probabilities, labels, task="multilabel", method="lac", coverage=coverage)
    allowed = [
        p
        for p in probabilities[labels == 1]
        if 80 / 81 * missed_by_loop(probabilities, labels, p) + 1 / 81 <= 1 - coverage + 1e-12
    ]
    assert rule.threshold == max(allowed)


def test_with_several_labels_the_mean_share_of_covered_labels_is_as_guaranteed():
    rng = np.random.default_rng(4)
    shares = []
    for _ in range(600):
        probabilities, labels = several(rng, 61)
        rule = fit_conformal(probabilities[1:], labels[1:], task="multilabel", method="lac", coverage=0.9)
        own = labels[0] == 1
        shares.append(rule.sets(probabilities[:1])[0][own].mean() if own.any() else 1.0)
    assert np.mean(shares) > 0.9 - 3 * np.std(shares) / math.sqrt(600)
