"""RayS, which sees labels alone: a linear network whose exact answer is known, and what must hold for any network."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from imgrec.studies.robustness.attack import gradient
from imgrec.studies.robustness.rays import Rays, rays
from small_run import small_net
from studied import Linear, gray


def exact_255(net: Linear, images: Tensor) -> Tensor:
    """Return the smallest change of all values that brings a linear network to its border, in gray values."""
    return 255 * net.margins(images).abs() / net.w.abs().sum()


@pytest.mark.parametrize("seed", range(4))
def test_the_smallest_change_that_flips_a_linear_network_is_its_margin_by_the_dual_norm(seed):
    net, images = Linear(seed), gray()
    labels = net(images * 255).argmax(dim=1)
    found, exact = rays(net, images, labels, queries=600).radius_255, exact_255(net, images)
    assert bool((found >= exact - 1e-4).all())  # float32 at the border
    assert bool((found <= 1.01 * exact + 0.004).all())


def test_the_first_ray_and_the_opposite_one_are_both_tried():
    """With weights of one sign the answer is one of the two, and takes few queries."""
    for sign in (1, -1):
        net, images = Linear(), gray()
        net.w = sign * net.w.abs()
        net.b = -float(net.w.sum()) / 2 + 0.15
        labels = net(images * 255).argmax(dim=1)
        found = rays(net, images, labels, queries=40)
        np.testing.assert_allclose(found.radius_255, exact_255(net, images), rtol=0.01, atol=0.002)


def shot(n: int = 24, **options) -> tuple[Tensor, Rays, torch.nn.Module, Tensor]:
    torch.manual_seed(3)
    net, images = small_net().eval(), torch.randint(0, 256, (24, 3, 8, 8)).float() / 255
    labels = net(images * 255).argmax(dim=1)
    return images[:n], rays(net, images[:n], labels[:n], **{"queries": 100, **options}), net, labels[:n]


def test_more_queries_find_no_larger_change():
    radii = [shot(queries=queries)[1].radius_255 for queries in (1, 5, 20, 60, 150)]
    assert all(bool((after <= before).all()) for before, after in pairwise(radii))
    assert float(radii[-1].median()) < float(radii[1].median())


@pytest.mark.parametrize("rounded", [False, True])
@pytest.mark.parametrize("queries", [1, 7, 100])
def test_no_more_queries_are_made_than_allowed(queries, rounded):
    _, found, _, _ = shot(queries=queries, rounded=rounded)
    assert int(found.num_queries.max()) <= queries
    queried = torch.zeros((), dtype=torch.int64)

    def counting(images: Tensor) -> Tensor:
        queried.add_(len(images))
        return net(images)

    images, _, net, labels = shot(queries=1)
    again = rays(counting, images, labels, queries=queries, rounded=rounded)
    assert int(queried) - len(images) == int(again.num_queries.sum())  # one look at each as it is


@pytest.mark.parametrize("rounded", [False, True])
def test_what_is_found_is_an_image_in_the_ball_that_the_network_gets_wrong(rounded):
    images, found, net, labels = shot(rounded=rounded)
    is_found = found.radius_255.isfinite()
    assert bool(is_found.any())
    change = 255 * (found.images.double() - images.double()).abs().amax(dim=(1, 2, 3))
    assert float((change - found.radius_255)[is_found].max()) <= 1e-4
    assert torch.equal(found.images[~is_found], images[~is_found])
    assert 0 <= float(found.images.min()) <= float(found.images.max()) <= 1
    assert torch.equal(net(found.images * 255).argmax(dim=1) != labels, is_found)
    if rounded:
        assert torch.equal(found.radius_255, found.radius_255.round())
        values = found.images.double() * 255
        np.testing.assert_allclose(values, values.round(), atol=1e-4)


def test_whole_gray_values_are_the_next_above():
    net, images = Linear(), gray()
    labels = net(images * 255).argmax(dim=1)
    exact = exact_255(net, images)
    found = rays(net, images, labels, queries=600, rounded=True).radius_255
    assert bool((found >= exact.ceil()).all())
    assert bool((found <= (1.01 * exact + 0.004).ceil()).all())


def test_a_model_that_misclassifies_an_image_from_the_start_gets_no_query():
    images, _, net, labels = shot()
    found = rays(net, images, (labels + 1) % 3, queries=10)
    assert torch.equal(found.images, images)
    assert not found.radius_255.any()
    assert not found.num_queries.any()


def test_an_image_that_breaks_at_what_is_enough_is_left():
    _, whole, _, _ = shot()
    _, found, _, _ = shot(enough_255=30.0)
    assert torch.equal(found.radius_255 <= 30, whole.radius_255 <= 30)
    assert int(found.num_queries.sum()) < int(whole.num_queries.sum())


def test_every_image_goes_its_own_way():
    _, whole, _, _ = shot()
    _, part, _, _ = shot(n=5)
    _, alone, _, _ = shot(n=1)
    assert torch.equal(part.images, whole.images[:5])
    assert torch.equal(alone.radius_255, whole.radius_255[:1])
    assert torch.equal(shot()[1].images, whole.images)


def test_predicted_classes_are_all_that_is_used():
    """Logits that say no more than the class, and through which no gradient comes, give the same answer."""
    images, found, net, labels = shot()

    def labels_only(images: Tensor) -> Tensor:
        return torch.nn.functional.one_hot(net(images).argmax(dim=1), 3).float()

    with pytest.raises(RuntimeError, match="does not require grad"):
        gradient(labels_only, images, labels)
    again = rays(labels_only, images, labels, queries=100)
    assert torch.equal(again.radius_255, found.radius_255)
