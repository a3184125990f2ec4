"""Attacks: a linear network whose exact answer is known, and what must hold for any network."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from imgrec.studies.robustness.attack import add_noise, fgsm, gradient, into_ball, pgd, round_to_8_bit, unit_noise
from small_run import small_net
from studied import SHAPE, Linear, gray


def smallest(attack):
    """Return the smallest eps at which `attack(eps)` breaks each image, by halving."""
    low, high = torch.zeros(6, dtype=torch.float64), torch.ones(6, dtype=torch.float64)
    for _ in range(22):
        middle = (low + high) / 2
        broken = torch.tensor([bool(attack(float(eps), place)) for place, eps in enumerate(middle)])
        low, high = torch.where(broken, low, middle), torch.where(broken, middle, high)
    return high


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("steps", [1, 5])
def test_the_smallest_change_that_flips_a_linear_network_is_its_margin_by_the_dual_norm(norm, steps):
    net, images = Linear(), gray()
    labels = net(images * 255).argmax(dim=1)
    length = net.w.abs().sum() if norm == "linf" else net.w.norm()
    exact = net.margins(images).abs() / length

    def attack(eps, place):
        one = images[place : place + 1], labels[place : place + 1]
        found = pgd(net, *one, norm=norm, eps=eps, steps=steps, step_size=eps / steps, starts=[None])
        return found.is_broken[0]

    np.testing.assert_allclose(smallest(attack), exact, atol=1e-4)


def test_the_direction_is_that_of_the_cross_entropy():
    net, images, labels = small_net().eval(), torch.rand(4, 3, 8, 8), torch.tensor([0, 1, 2, 0])
    found = gradient(net, images, labels).flatten(1)
    at = images.clone().requires_grad_()
    loss = nn.functional.cross_entropy(net(at * 255), labels, reduction="sum")
    slope = torch.autograd.grad(loss, at)[0].flatten(1)
    np.testing.assert_allclose(nn.functional.cosine_similarity(found, slope), 1, atol=1e-5)


def test_a_certain_network_still_has_a_slope():
    net = Linear()
    certain = lambda images: 100 * net(images)  # noqa: E731 - float32 cross entropy is exactly 0 here
    images = torch.ones(1, *SHAPE) * (net.w > 0)
    labels = certain(images * 255).argmax(dim=1)
    assert nn.functional.cross_entropy(certain(images * 255), labels) == 0
    assert gradient(certain, images, labels).abs().max() > 0


def attacked(**changes):
    torch.manual_seed(3)
    net, images = small_net().eval(), torch.randint(0, 256, (24, 3, 8, 8)).float() / 255
    labels = net(images * 255).argmax(dim=1)
    options = {"norm": "linf", "eps": 0.02, "steps": 4, "step_size": 0.01, "restarts": 1, "rounded": False, **changes}
    draws = [[(restart, i) for i in range(24)] for restart in range(options.pop("restarts"))]
    starts = [unit_noise(keys, (3, 8, 8), norm=options["norm"]) for keys in draws]
    return images, pgd(net, images, labels, starts=starts, **options), net, labels


def test_no_change_is_allowed_at_eps_zero():
    images, found, _, _ = attacked(eps=0.0)
    assert not found.is_broken.any()
    assert torch.equal(found.images, images)


@pytest.mark.parametrize(
    ("name", "values"), [("steps", [0, 1, 2, 4, 8]), ("restarts", [1, 2, 4]), ("eps", [0.0, 0.005, 0.02, 0.1, 1.0])]
)
def test_more_of_it_breaks_no_fewer(name, values):
    broken = [attacked(**{name: value})[1].is_broken for value in values]
    counts = [int(found.sum()) for found in broken]
    assert counts == sorted(counts)
    if name != "eps":  # steps and starts are the same ones and more, so are the images
        assert all(bool((after | ~before).all()) for before, after in pairwise(broken))


def test_without_bounds_a_network_is_no_better_than_chance():
    _, found, _, _ = attacked(eps=1.0, steps=20, step_size=0.2)
    assert (~found.is_broken).float().mean() <= 1 / 3


@pytest.mark.parametrize("rounded", [False, True])
@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("eps", [0.5 / 255, 1 / 255, 2.5 / 255, 8 / 255, 0.3])
def test_what_is_found_is_an_image_in_the_ball(norm, eps, rounded):
    images, found, net, labels = attacked(norm=norm, eps=eps, step_size=eps / 2, rounded=rounded)
    change = found.images.double() - images.double()
    length = change.abs().amax(dim=(1, 2, 3)) if norm == "linf" else change.flatten(1).norm(dim=1)
    assert float(length.max()) <= eps + 1e-6
    assert 0 <= float(found.images.min()) <= float(found.images.max()) <= 1
    assert torch.equal(net(found.images * 255).argmax(dim=1) != labels, found.is_broken)
    if rounded:
        values = found.images.double() * 255
        np.testing.assert_allclose(values, values.round(), atol=1e-4)


def test_rounding_keeps_a_whole_step():
    images = gray()
    step = into_ball(images + 8 / 255, images, norm="linf", eps=8 / 255)
    found = round_to_8_bit(step, images, norm="linf", eps=8 / 255)
    np.testing.assert_allclose((found - images) * 255, 8, atol=1e-3)


def test_a_model_that_misclassifies_an_image_from_the_start_counts_it_as_broken():
    images, _, net, labels = attacked()
    found = fgsm(net, images, (labels + 1) % 3, norm="linf", eps=0.1)
    assert found.is_broken.all()
    assert torch.equal(found.images, images)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_noise_has_the_length_that_is_allowed_and_knows_no_network(norm):
    draws = unit_noise([(1, i) for i in range(500)], SHAPE, norm=norm).flatten(1)
    length = draws.abs().amax(dim=1) if norm == "linf" else draws.norm(dim=1)
    assert 0.9 < float(length.max()) <= 1 + 1e-6
    assert torch.equal(draws[3], unit_noise([(1, 3)], SHAPE, norm=norm).flatten())
    images, _, net, labels = attacked()
    noise = [unit_noise([(0, i) for i in range(24)], (3, 8, 8), norm=norm)]
    found = add_noise(net, images, labels, norm=norm, eps=0.2, draws=noise, rounded=False)
    other = add_noise(net, images, (labels + 1) % 3, norm=norm, eps=0.2, draws=noise, rounded=False)
    assert torch.equal(other.images, images)
    assert found.images.shape == images.shape


def test_evenly_spread_noise_fills_the_ball():
    radius = unit_noise([(1, i) for i in range(2000)], (3, 1, 1), norm="l2").flatten(1).norm(dim=1)
    assert float((radius < 0.5).float().mean()) == pytest.approx(0.5**3, abs=0.03)
