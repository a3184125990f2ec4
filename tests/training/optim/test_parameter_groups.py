"""Which parameter goes into which group."""

from typing import Any

import pytest
import torch
from torch import nn
from torchvision.models import get_model

from imgrec.errors import ConfigError
from imgrec.training.optim.parameter_groups import decays, parameter_groups


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten())
        self.head = nn.Linear(4, 2)
        self.head_parameters = frozenset({"head.weight", "head.bias"})


def by_name(net: nn.Module, groups: list[dict[str, Any]]) -> dict[str, set[str]]:
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    return {group["name"]: {names[id(parameter)] for parameter in group["params"]} for group in groups}


def test_norms_and_biases_do_not_decay() -> None:
    net = Network()
    groups = parameter_groups(net, lr=0.1, weight_decay=0.01)
    assert by_name(net, groups) == {
        "decay": {"backbone.0.weight", "head.weight"},
        "no_decay": {"backbone.0.bias", "backbone.1.weight", "backbone.1.bias", "head.bias"},
    }
    assert {group["name"]: group["weight_decay"] for group in groups} == {"decay": 0.01, "no_decay": 0.0}


def test_head_has_a_rate_of_its_own() -> None:
    net = Network()
    groups = parameter_groups(net, lr=0.1, head_lr=1.0, weight_decay=0.01)
    assert by_name(net, groups) == {
        "backbone_decay": {"backbone.0.weight"},
        "backbone_no_decay": {"backbone.0.bias", "backbone.1.weight", "backbone.1.bias"},
        "head_decay": {"head.weight"},
        "head_no_decay": {"head.bias"},
    }
    assert {group["name"]: group["lr"] for group in groups} == {
        "backbone_decay": 0.1,
        "backbone_no_decay": 0.1,
        "head_decay": 1.0,
        "head_no_decay": 1.0,
    }


def test_norms_and_biases_decay_when_told_to() -> None:
    groups = parameter_groups(Network(), lr=0.1, weight_decay=0.01, decay_norm_and_bias=True)
    assert [(group["name"], len(group["params"]), group["weight_decay"]) for group in groups] == [("all", 6, 0.01)]


def test_without_decay_there_is_one_group() -> None:
    assert [group["name"] for group in parameter_groups(Network(), lr=0.1)] == ["all"]
    assert [group["name"] for group in parameter_groups(Network(), lr=0.1, head_lr=1)] == ["backbone", "head"]


def test_frozen_parameters_are_left_out() -> None:
    net = Network()
    net.backbone.requires_grad_(False)
    groups = parameter_groups(net, lr=0.1, head_lr=0.5, weight_decay=0.01)
    assert by_name(net, groups) == {"head_decay": {"head.weight"}, "head_no_decay": {"head.bias"}}


def test_shared_parameter_is_taken_once() -> None:
    net = Network()
    net.duplicate = net.head
    (group,) = parameter_groups(net, lr=0.1)
    assert len(group["params"]) == len({id(parameter) for parameter in group["params"]}) == 6


@pytest.mark.parametrize(
    "name",
    ["resnet18", "vit_b_16", "swin_t", "swin_v2_t", "convnext_tiny", "maxvit_t", "efficientnet_b0", "densenet121"],
)
def test_of_torchvision_only_weight_matrices_and_filters_decay(name: str) -> None:
    with torch.device("meta"):
        net = get_model(name)
    norms = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm)
    of_norms = {
        id(parameter) for module in net.modules() if isinstance(module, norms) for parameter in module.parameters()
    }
    for key, parameter in net.named_parameters():
        is_matrix = key.endswith((".weight", "in_proj_weight")) and id(parameter) not in of_norms
        assert decays(key, parameter) == is_matrix, key


@pytest.mark.parametrize("name", ["vit_b_16", "swin_v2_t"])
def test_every_parameter_is_in_exactly_one_group(name: str) -> None:
    with torch.device("meta"):
        net = get_model(name)
    grouped = [id(p) for group in parameter_groups(net, lr=0.1, weight_decay=0.1) for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in net.parameters())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"lr": 0}, r"optimizer\.lr=0, but it must be above 0"),
        ({"lr": -1e-3}, r"optimizer\.lr=-0\.001"),
        ({"lr": float("nan")}, r"optimizer\.lr=nan.*finite"),
        ({"lr": float("inf")}, r"optimizer\.lr=inf.*finite"),
        ({"lr": "fast"}, r"optimizer\.lr='fast'.*number"),
        ({"lr": True}, r"optimizer\.lr=True.*number"),
        ({"lr": 0.1, "head_lr": -1}, r"optimizer\.head_lr=-1.*above 0"),
        ({"lr": 0.1, "weight_decay": -0.1}, r"optimizer\.weight_decay=-0\.1.*at least 0"),
    ],
)
def test_wrong_rates_are_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parameter_groups(Network(), **values)


def test_a_network_without_a_named_head_cannot_have_a_rate_for_it() -> None:
    with pytest.raises(ConfigError, match=r"head_lr is set.*Linear.*optimizer\.head_lr=null"):
        parameter_groups(nn.Linear(2, 2), lr=0.1, head_lr=1.0)


def test_nothing_to_train_says_what_to_unfreeze() -> None:
    with pytest.raises(ConfigError, match=r"frozen.*model\.freeze=null"):
        parameter_groups(Network().requires_grad_(False), lr=0.1)
