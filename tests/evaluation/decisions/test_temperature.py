"""The temperature, against a search of another kind, and where there is none."""

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from imgrec.evaluation.decisions.probabilities import to_probabilities
from imgrec.evaluation.decisions.temperature import LARGEST, fit_temperature


def drawn(seed: int, *, temperature: float, samples: int = 3000, classes: int = 4):
    """Return logits (N, C), and labels as often as the logits at this temperature say."""
    rng = np.random.default_rng(seed)
    logits = (rng.normal(size=(samples, classes)) * 3).astype(np.float32)
    chances = to_probabilities(logits, task="single", temperature=temperature)
    return logits, np.array([rng.choice(classes, p=row) for row in chances])


def by_gradient(logits, labels, loss):
    """Fit 1 / temperature by LBFGS, as Guo et al. do."""
    sharpness = torch.ones(1, dtype=torch.float64, requires_grad=True)
    values, targets = torch.from_numpy(logits.astype(np.float64)), torch.from_numpy(labels)
    options = {"line_search_fn": "strong_wolfe", "tolerance_grad": 1e-13, "tolerance_change": 0}
    search = torch.optim.LBFGS([sharpness], max_iter=200, **options)

    def closure():
        search.zero_grad()
        found = loss(values * sharpness, targets)
        found.backward()
        return found

    search.step(closure)
    return 1 / float(sharpness.detach())


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_it_is_where_a_gradient_search_ends(temperature):
    logits, labels = drawn(1, temperature=temperature)
    found = fit_temperature(logits, labels, task="single")
    assert found.value == pytest.approx(by_gradient(logits, labels, cross_entropy), rel=1e-6)
    assert found.value == pytest.approx(temperature, rel=0.1)
    assert found.note is None


def test_several_labels_are_fitted_by_their_own_loss():
    rng = np.random.default_rng(2)
    logits = (rng.normal(size=(2000, 3)) * 4).astype(np.float32)
    labels = (rng.random((2000, 3)) < to_probabilities(logits, task="multilabel", temperature=2.0)).astype(np.uint8)
    theirs = by_gradient(logits, labels.astype(np.float64), binary_cross_entropy_with_logits)
    assert fit_temperature(logits, labels, task="multilabel").value == pytest.approx(theirs, rel=1e-6)


def test_what_is_added_to_all_logits_of_an_image_changes_nothing():
    logits, labels = drawn(3, temperature=1.5, samples=500)
    shift = np.random.default_rng(0).normal(size=(500, 1)) * 50
    moved = fit_temperature(logits.astype(np.float64) + shift, labels, task="single").value
    assert moved == pytest.approx(fit_temperature(logits, labels, task="single").value, rel=1e-9)


def test_twice_the_logits_are_twice_the_temperature():
    logits, labels = drawn(4, temperature=0.7, samples=500)
    twice = fit_temperature(2 * logits, labels, task="single").value
    assert twice == pytest.approx(2 * fit_temperature(logits, labels, task="single").value, rel=1e-9)


def test_small_and_huge_logits_are_fitted_too():
    logits, labels = drawn(5, temperature=1.0, samples=500)
    for scale in (0.01, 100.0):
        assert fit_temperature(scale * logits, labels, task="single").value == pytest.approx(scale, rel=0.2)


def test_without_a_mistake_nothing_is_fitted():
    logits, _ = drawn(6, temperature=1.0, samples=50)
    found = fit_temperature(logits, logits.argmax(axis=1), task="single")
    assert found.value == 1
    assert found.note == "Temperature 1: all predictions on 50 images are correct, so none can be fitted."
    several = fit_temperature(logits, (logits > 0).astype(np.uint8), task="multilabel")
    assert (several.value, several.note) == (1, found.note)


def test_a_network_that_is_always_wrong_gets_the_largest_and_a_warning():
    logits, _ = drawn(7, temperature=1.0, samples=200)
    found = fit_temperature(logits, logits.argmin(axis=1), task="single")
    assert found.value == LARGEST
    assert found.note is not None and "on 200 images the model is worse than guessing" in found.note


def test_a_network_that_says_nothing_keeps_temperature_1():
    found = fit_temperature(np.full((30, 3), 7.3, dtype=np.float32), np.arange(30) % 3, task="single")
    assert found.value == 1
    assert found.note is not None and "the logits are the same for every class" in found.note


def test_few_images_are_told_of():
    logits, labels = drawn(8, temperature=1.0, samples=40)
    assert fit_temperature(logits, labels, task="single").note == (
        "The temperature was fitted on only 40 images and may be inaccurate."
    )
