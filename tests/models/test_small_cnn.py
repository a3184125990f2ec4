"""The network of a first lesson."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from imgrec.errors import ConfigError, WeightsError
from imgrec.models import check_image_size, make_small_cnn


def test_it_has_the_layers_of_the_lesson_in_their_order() -> None:
    layers = [
        type(m) for m in make_small_cnn(num_classes=10, channels=[8]).backbone.modules() if not list(m.children())
    ]
    conv = [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]
    dense = [nn.AdaptiveAvgPool2d, nn.Dropout, nn.Linear, nn.ReLU, nn.Dropout, nn.Linear]
    assert layers == [*conv, *conv, nn.MaxPool2d, *dense]


def test_shapes_are_those_of_the_docstring() -> None:
    network = make_small_cnn(num_classes=10)
    shapes: list[tuple[int, ...]] = []
    for module in [
        *network.backbone.get_submodule("blocks"),
        *(network.backbone.get_submodule(n) for n in ("average", "dense", "head")),
    ]:
        module.register_forward_hook(lambda _module, _inputs, output: shapes.append(tuple(output.shape)))
    network(torch.zeros(2, 3, 28, 28, dtype=torch.uint8))
    assert shapes == [(2, 32, 14, 14), (2, 64, 7, 7), (2, 64, 4, 4), (2, 128), (2, 10)]


@pytest.mark.parametrize("size", [(8, 8), (9, 31), (28, 28), (64, 64)])
def test_images_of_any_size_from_8_px_are_taken(size: tuple[int, int]) -> None:
    network = make_small_cnn(num_classes=10)
    check_image_size(network, height=size[0], width=size[1])
    assert network(torch.zeros(2, 3, *size, dtype=torch.uint8)).shape == (2, 10)


def test_images_too_small_for_the_poolings_are_refused() -> None:
    with pytest.raises(ConfigError, match="cannot take images of 8 x 8 px"):
        check_image_size(make_small_cnn(num_classes=10, channels=(8, 8, 8, 8)), height=8, width=8)


def test_it_has_fewer_than_a_million_parameters() -> None:
    weights = 3 * 32 * 9 + 32 * 32 * 9 + 32 * 64 * 9 + 64 * 64 * 9 + 1024 * 128 + 128 * 10
    norms_and_biases = 2 * (32 + 32 + 64 + 64) + 128 + 10
    assert make_small_cnn(num_classes=10).num_parameters == weights + norms_and_biases < 1_000_000


def test_the_head_is_the_last_dense_layer() -> None:
    network = make_small_cnn(num_classes=7)
    shapes = {name: tuple(p.shape) for name, p in network.named_parameters() if name in network.head_parameters}
    assert shapes == {"backbone.head.weight": (7, 128), "backbone.head.bias": (7,)}


def test_it_learns_a_handful_of_images_by_heart() -> None:
    torch.manual_seed(0)
    network = make_small_cnn(num_classes=4, channels=(8, 16), hidden=32, dropout=0.0).train()
    images, labels = torch.randint(0, 256, (8, 3, 12, 12), dtype=torch.uint8), torch.arange(8) % 4
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)
    for _ in range(40):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(images), labels).backward()
        optimizer.step()
    assert torch.equal(network.eval()(images).argmax(dim=1), labels)


def test_its_weights_come_back_from_a_file_with_mean_and_std(tmp_path: Path) -> None:
    trained = make_small_cnn(num_classes=3, mean=(0.1,) * 3, std=(0.2,) * 3).eval()
    torch.save(trained.state_dict(), tmp_path / "w.pt")
    network = make_small_cnn(num_classes=3, weights=tmp_path / "w.pt").eval()
    images = torch.full((1, 3, 28, 28), 90, dtype=torch.uint8)
    assert torch.equal(network(images), trained(images))


def test_mean_and_std_given_outrank_those_of_a_file(tmp_path: Path) -> None:
    torch.save(make_small_cnn(num_classes=3).state_dict(), tmp_path / "w.pt")
    network = make_small_cnn(num_classes=3, weights=tmp_path / "w.pt", mean=(0.1,) * 3, std=(0.2,) * 3)
    assert network.normalize.mean.tolist() == pytest.approx([0.1] * 3)


def test_frozen_it_trains_the_head_alone() -> None:
    network = make_small_cnn(num_classes=3, freeze="backbone")
    assert {name for name, p in network.named_parameters() if p.requires_grad} == network.head_parameters


@pytest.mark.parametrize(
    "options", [{"channels": []}, {"channels": [8, 0]}, {"hidden": 0}, {"dropout": 1.0}, {"dropout": -0.1}]
)
def test_widths_and_dropout_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"model.channels and model.hidden of 1 or more and model.dropout"):
        make_small_cnn(num_classes=3, **options)


def test_it_has_no_published_weights() -> None:
    with pytest.raises(WeightsError, match="no weights file at DEFAULT"):
        make_small_cnn(num_classes=3, weights="DEFAULT")


def test_it_is_built_without_importing_torchvision() -> None:
    code = "import sys, imgrec.models as models; models.make_small_cnn(3); sys.exit('torchvision' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
