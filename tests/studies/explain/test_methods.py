"""Maps against captum, against a formula, and against a network whose decision is known."""

import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from explained import PATCH, LinearCam, PatchNetwork
from imgrec.errors import ConfigError, MissingExtraError
from imgrec.evaluation.decisions import Decisions
from imgrec.models import make_backbone, make_small_cnn
from imgrec.models.network import Normalize
from imgrec.studies.explain.baseline import make_baseline
from imgrec.studies.explain.methods import GradCam, IntegratedGradients, Occlusion
from imgrec.studies.explain.network import as_predict, to_images

METHODS = [GradCam(), IntegratedGradients(), Occlusion()]
CPU = torch.device("cpu")


def sample_image(seed: int = 1, side: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def test_grad_cam_of_an_average_and_a_linear_layer_is_its_cam():
    torch.manual_seed(1)
    network, image = LinearCam().eval(), sample_image()
    heat = GradCam()(network, image, baseline=image, target=2)
    with torch.no_grad():
        activations = network.relu(network.conv(network.normalize(to_images(image[None], CPU))))
        cam = torch.einsum("c,nchw->nhw", network.head.weight[2], activations).relu() / 64
        expected = F.interpolate(cam[:, None], size=(32, 32), mode="bilinear", align_corners=False)[0, 0]
    np.testing.assert_allclose(heat.values, expected.numpy(), rtol=1e-5, atol=1e-7)
    assert heat.facts == {"layer": "relu", "grid": [8, 8]}


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_grad_cam_is_captum_s(name):
    from captum.attr import LayerGradCam

    torch.manual_seed(2)
    network, image = make_backbone(name, 3).eval(), sample_image(side=128)
    heat = GradCam()(network, image, baseline=image, target=1)
    layer = network.get_submodule(heat.facts["layer"])
    theirs = LayerGradCam(network, layer).attribute(to_images(image[None], CPU), target=1, relu_attributions=True)
    sized = F.interpolate(theirs, size=(128, 128), mode="bilinear", align_corners=False)[0, 0]
    assert heat.values.max() > 0
    np.testing.assert_allclose(heat.values, sized.detach().numpy(), rtol=1e-4, atol=1e-9)


def test_integrated_gradients_add_up_to_the_difference_of_the_logits():
    """Of a smooth network; at the corners of ReLUs the sum of a few steps is a little off, which the residual says."""
    torch.manual_seed(3)
    network = nn.Sequential(Normalize(), nn.Conv2d(3, 8, 5, stride=4), nn.Tanh(), nn.Flatten(), nn.Linear(392, 3))
    image, black = sample_image(), make_baseline(sample_image(), "black")
    heat = IntegratedGradients()(network, image, baseline=black, target=0)
    with torch.no_grad():
        both = network(to_images(np.stack([image, black]), CPU)).double()
    assert heat.values.sum() == pytest.approx(float(both[0, 0] - both[1, 0]), rel=1e-4)
    assert heat.facts["completeness_residual"] < 1e-4


def test_too_few_steps_are_told_by_the_residual():
    torch.manual_seed(3)
    network, image = make_small_cnn(3).eval(), sample_image()
    black = make_baseline(image, "black")
    few, many = (
        IntegratedGradients(num_steps=steps)(network, image, baseline=black, target=0).facts["completeness_residual"]
        for steps in (2, 256)
    )
    assert many < few / 5


def test_integrated_gradients_of_a_linear_network_are_weight_times_difference():
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2))
    image, grey = sample_image(side=8), np.full((8, 8, 3), 100, np.uint8)
    heat = IntegratedGradients()(network, image, baseline=grey, target=1)
    weight = network[1].weight[1].detach().numpy().reshape(3, 8, 8)
    difference = (image.astype(float) - 100).transpose(2, 0, 1)
    np.testing.assert_allclose(heat.values, (weight * difference).sum(axis=0), rtol=1e-4, atol=1e-4)
    assert heat.facts["completeness_residual"] == pytest.approx(0, abs=1e-4)


def test_integrated_gradients_from_the_image_itself_have_nothing_to_add_up():
    image = sample_image(side=8)
    heat = IntegratedGradients()(make_small_cnn(2).eval(), image, baseline=image, target=0)
    assert heat.facts["completeness_residual"] is None
    assert not heat.values.any()


def test_occlusion_is_captum_s():
    from captum.attr import Occlusion as Captum

    torch.manual_seed(4)
    network, image = make_small_cnn(3).eval(), sample_image(side=28)
    heat = Occlusion()(network, image, baseline=make_baseline(image, "black"), target=1)
    theirs = Captum(lambda images: network(images).softmax(dim=1)).attribute(
        to_images(image[None], CPU), sliding_window_shapes=(3, 4, 4), strides=(3, 2, 2), baselines=0, target=1
    )
    np.testing.assert_allclose(heat.values, theirs[0, 0].numpy(), atol=1e-6)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_a_map_finds_the_patch_that_decides(method):
    image = np.full((32, 32, 3), 60, np.uint8)
    image[PATCH] = 240
    heat = method(PatchNetwork().eval(), image, baseline=np.full_like(image, 60), target=1)
    assert heat.values.shape == (32, 32)
    strongest = np.unravel_index(heat.values.argmax(), heat.values.shape)
    assert all(part.start <= place < part.stop for part, place in zip(PATCH, strongest, strict=True))
    if method.name != "gradcam":  # its weights are means over all places, so it marks brightness anywhere
        assert heat.values[PATCH].mean() > 10 * np.abs(heat.values[20:]).mean()


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_the_network_stays_as_it_was(method):
    network = make_small_cnn(3, freeze="backbone").eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    asked = [parameter.requires_grad for parameter in network.parameters()]
    heat = method(network, sample_image(), baseline=make_baseline(sample_image(), "blurred"), target=0)
    assert np.isfinite(heat.values).all() and heat.values.any()
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert [parameter.requires_grad for parameter in network.parameters()] == asked
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not any(module._forward_hooks or module._backward_hooks for module in network.modules())


def test_channels_last_gives_the_same_maps():
    torch.manual_seed(6)
    network = make_small_cnn(3).eval()
    image = sample_image()
    heats = [method(network, image, baseline=make_baseline(image, "mean"), target=0).values for method in METHODS]
    network.to(memory_format=torch.channels_last)
    for method, heat in zip(METHODS, heats, strict=True):
        other = method(network, image, baseline=make_baseline(image, "mean"), target=0).values
        np.testing.assert_allclose(other, heat, atol=1e-4 * np.abs(heat).max())


def test_probabilities_are_softmax_or_with_several_labels_sigmoid():
    network, image = make_small_cnn(3).eval(), sample_image()
    logits = network(torch.from_numpy(image.transpose(2, 0, 1)[None].copy())).detach().double()
    np.testing.assert_allclose(as_predict(network)(image[None]), logits.softmax(1).numpy(), rtol=1e-9)
    several = Decisions("multilabel", ("a", "b", "c"), temperature=2.0)
    found = as_predict(network, from_logits=several.probabilities)(image[None])
    np.testing.assert_allclose(found, (logits / 2).sigmoid().numpy(), rtol=1e-9)


def test_occlusion_follows_the_probability_that_is_asked_for():
    torch.manual_seed(4)
    network, image = make_small_cnn(3).eval(), sample_image(side=28)
    black, several = make_baseline(image, "black"), Decisions("multilabel", ("a", "b", "c"), temperature=0.5)
    heat = Occlusion(window=1)(network, image, baseline=black, target=1, from_logits=several.probabilities)
    with torch.no_grad():
        whole, nothing = (2 * network(to_images(np.stack([image, black]), CPU)).double()).sigmoid()[:, 1].tolist()
    np.testing.assert_allclose(heat.values, whole - nothing, rtol=1e-9)


def test_without_captum_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(MissingExtraError, match=r'captum is not installed\. Run: pip install "imgrec\[explain\]"'):
        IntegratedGradients()(make_small_cnn(2), sample_image(), baseline=sample_image(), target=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: IntegratedGradients(num_steps=1), r"explain\.method\.num_steps=1"),
        (lambda: IntegratedGradients(batch_size=0), r"explain\.method\.batch_size=0"),
        (lambda: Occlusion(window=0), r"explain\.method\.window=0"),
        (lambda: Occlusion(stride=1.5), r"explain\.method\.stride=1\.5"),
        (lambda: Occlusion(batch_size=0), r"explain\.method\.batch_size=0"),
        (lambda: make_baseline(sample_image(), "white"), r"explain\.baseline=white: use one of blurred, mean, black"),
    ],
)
def test_a_value_that_cannot_be_is_named(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
