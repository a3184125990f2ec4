"""The last layer that keeps the layout of an image, found by trying."""

import pytest
import torch
from torch import Tensor, nn

from explained import LinearCam
from imgrec.errors import ConfigError
from imgrec.models import make_backbone, make_cifar_resnet, make_small_cnn
from imgrec.studies.explain.layers import FeatureLayer, find_feature_layer, to_planes


def sample_images(height: int, width: int | None = None) -> Tensor:
    torch.manual_seed(3)
    return torch.rand(1, 3, height, width or height) * 255


def network(name: str, **options) -> nn.Module:
    torch.manual_seed(5)
    made = make_backbone(name, 3, **options)
    for key, parameter in made.named_parameters():
        if key in made.head_parameters:
            nn.init.normal_(parameter, std=0.1)  # a ViT's head starts as zeros
    return made.eval()


@pytest.mark.parametrize(
    ("name", "size", "layer", "layout", "grid"),
    [
        ("resnet18", 128, "layer4", "NCHW", (4, 4)),
        ("mobilenet_v2", 128, "features", "NCHW", (4, 4)),
        ("efficientnet_b0", 128, "features", "NCHW", (4, 4)),
        ("convnext_tiny", 128, "features", "NCHW", (4, 4)),
        ("densenet121", 128, "features", "NCHW", (4, 4)),
        ("vgg11_bn", 32, "avgpool", "NCHW", (7, 7)),
        ("squeezenet1_1", 96, "classifier.2", "NCHW", (5, 5)),
        ("swin_t", 128, "permute", "NCHW", (4, 4)),
        ("shufflenet_v2_x0_5", 128, "conv5", "NCHW", (4, 4)),
    ],
)
def test_it_is_the_last_one_before_all_places_are_averaged(name, size, layer, layout, grid):
    found = find_feature_layer(network(name), sample_images(size))
    assert found == FeatureLayer(f"backbone.{layer}", layout, *grid)


def test_a_vit_is_looked_at_before_its_last_attention():
    """After it only the class token counts; the residual way around the attention is why it is the block before."""
    found = find_feature_layer(network("vit_b_16", image_size=64), sample_images(64))
    assert found == FeatureLayer("backbone.encoder.layers.encoder_layer_10", "class token + tokens", 4, 4)


@pytest.mark.slow
def test_a_maxvit_has_one_after_its_windows_are_joined_again():
    assert find_feature_layer(network("maxvit_t"), sample_images(224)).name == "backbone.blocks.3"


def test_own_networks_have_one_of_any_size_of_image():
    assert find_feature_layer(make_cifar_resnet(3, depth=8).eval(), sample_images(32)).name == "backbone.layer3"
    assert find_feature_layer(make_small_cnn(3).eval(), sample_images(28)).name == "backbone.average"
    assert find_feature_layer(make_cifar_resnet(3, depth=8).eval(), sample_images(32, 48))[2:] == (8, 12)


def test_of_images_too_small_for_the_last_layer_a_finer_one_is_taken():
    assert find_feature_layer(network("resnet18"), sample_images(64)) == FeatureLayer("backbone.layer3", "NCHW", 4, 4)


def test_a_frozen_backbone_and_relus_in_place_are_no_hindrance():
    frozen = LinearCam().requires_grad_(False).eval()
    before = {key: value.clone() for key, value in frozen.state_dict().items()}
    assert find_feature_layer(frozen, sample_images(32)).name == "relu"
    assert all(torch.equal(value, before[key]) for key, value in frozen.state_dict().items())
    assert not any(module._forward_hooks for module in frozen.modules())
    assert frozen.relu.inplace


def test_a_network_without_places_is_refused():
    with pytest.raises(ConfigError, match="No layer of this model keeps the layout"):
        find_feature_layer(nn.Sequential(nn.Flatten(), nn.Linear(192, 3)), sample_images(8))


def test_a_network_that_looks_at_nothing_is_refused():
    blind = LinearCam()
    nn.init.zeros_(blind.head.weight)
    with pytest.raises(ConfigError, match="does not depend on the image"):
        find_feature_layer(blind.eval(), sample_images(32))


@pytest.mark.parametrize("layout", ["NCHW", "NHWC", "tokens", "class token + tokens"])
def test_each_layout_becomes_planes_with_the_same_value_at_the_same_place(layout):
    planes = torch.arange(2 * 5 * 3 * 4.0).view(2, 5, 3, 4)
    tokens = planes.flatten(2).transpose(1, 2)
    outputs = {
        "NCHW": planes,
        "NHWC": planes.permute(0, 2, 3, 1),
        "tokens": tokens,
        "class token + tokens": torch.cat([torch.full((2, 1, 5), -1.0), tokens], dim=1),
    }
    assert torch.equal(to_planes(outputs[layout], FeatureLayer("x", layout, 3, 4)), planes)
