"""The ResNet for CIFAR-10, against the paper's table and published weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from imgrec.errors import ConfigError
from imgrec.models.cifar_resnet import BasicBlock, CifarResNet, make_cifar_resnet


@pytest.mark.parametrize(
    ("depth", "millions"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85), (110, 1.7)]
)  # He et al. 2015, table 6
def test_the_number_of_parameters_is_the_papers(depth: int, millions: float) -> None:
    network = make_cifar_resnet(num_classes=10, depth=depth)
    assert network.num_parameters / 1e6 == pytest.approx(millions, rel=0.02)


@pytest.mark.parametrize("depth", [8, 20, 32, 110])
def test_depth_counts_the_layers_that_have_weights(depth: int) -> None:
    layers = [m for m in CifarResNet(depth, 10).modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == depth


@pytest.mark.parametrize(("depth", "near"), [(18, "14 and 20"), (21, "20 and 26"), (2, "8 and 14"), (-5, "8 and 14")])
def test_another_depth_is_refused_with_the_nearest(depth: int, near: str) -> None:
    with pytest.raises(ConfigError, match=rf"model.depth={depth} is not 6 n \+ 2. The nearest that are: {near}"):
        make_cifar_resnet(num_classes=10, depth=depth)


def test_the_shortcut_takes_every_second_pixel_and_adds_channels_of_zeros() -> None:
    block = BasicBlock(2, 4, stride=2).eval()
    nn.init.zeros_(block.conv2.weight)  # the residual is 0: what is left is the shortcut
    x = torch.rand(1, 2, 4, 4)
    out = block(x)
    assert torch.equal(out[:, 1:3], x[:, :, ::2, ::2])
    assert not out[:, [0, 3]].any()


def test_the_shortcuts_have_no_parameters() -> None:
    names = {name.split(".")[-2] for name, _ in CifarResNet(20, 10).named_parameters()}
    assert names == {"conv1", "bn1", "conv2", "bn2", "linear"}


def test_groups_have_full_half_and_quarter_size() -> None:
    network = CifarResNet(8, 10)
    shapes: list[tuple[int, ...]] = []
    for group in (network.layer1, network.layer2, network.layer3):
        group.register_forward_hook(lambda _module, _inputs, output: shapes.append(tuple(output.shape)))
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert shapes == [(2, 16, 32, 32), (2, 32, 16, 16), (2, 64, 8, 8)]


def test_published_weights_reach_their_accuracy(shared_data: Path) -> None:
    """The whole test set gives 827 errors in 10,000, which is published; of every 20th image, 8 to 9 percent."""
    weights = shared_data / "weights" / "akamaster_resnet20-12fca82f.th"
    network = make_cifar_resnet(num_classes=10, depth=20, weights=weights).eval()
    files = sorted((shared_data / "cifar10" / "test").glob("*/*.png"))[::20]
    class_names = sorted({file.parent.name for file in files})
    labels = torch.tensor([class_names.index(file.parent.name) for file in files])
    images = torch.from_numpy(np.stack([np.asarray(Image.open(file)) for file in files])).permute(0, 3, 1, 2)
    with torch.inference_mode():
        accuracy = (network(images).argmax(dim=1) == labels).float().mean().item()
    assert len(files) == 500
    assert accuracy > 0.88
    assert network.loaded is not None
    assert not network.loaded.head_is_fresh


def test_published_weights_serve_other_classes_with_a_fresh_head(shared_data: Path) -> None:
    weights = shared_data / "weights" / "akamaster_resnet20-12fca82f.th"
    network = make_cifar_resnet(num_classes=4, weights=weights, freeze="backbone")
    assert network.loaded is not None
    assert network.loaded.fresh == ("linear.weight", "linear.bias")
    assert {name for name, p in network.named_parameters() if p.requires_grad} == network.head_parameters


def test_mean_and_std_are_imagenets_unless_given() -> None:
    assert make_cifar_resnet(num_classes=2, depth=8).normalize.mean.tolist() == pytest.approx([0.485, 0.456, 0.406])
    given = make_cifar_resnet(num_classes=2, depth=8, mean=(0.5,) * 3, std=(0.2,) * 3)
    assert given.normalize.std.tolist() == pytest.approx([0.2] * 3)
