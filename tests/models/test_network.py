"""The network's first layer, its freezing, and what it says about images it cannot take."""

import copy

import pytest
import torch
from torch import Tensor, nn

from imgrec.errors import ConfigError
from imgrec.models.network import ImageNetwork, Normalize, check_image_size, is_frozen

MEAN, STD = (0.4, 0.5, 0.6), (0.1, 0.2, 0.3)


def make_network(*, frozen: bool = False) -> ImageNetwork:
    """Build a backbone with all that freezing has to hold still: BatchNorm, dropout, parameters before the head."""
    torch.manual_seed(0)
    backbone = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(4, 2),
    )
    head = frozenset({"backbone.6.weight", "backbone.6.bias"})
    return ImageNetwork(Normalize(MEAN, STD), backbone, head_parameters=head, frozen=frozen)


@pytest.fixture
def images() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (4, 3, 9, 7), dtype=torch.uint8, generator=generator)


def normalized(images: Tensor) -> Tensor:
    """Return the definition, in float64."""
    mean, std = torch.tensor(MEAN).double().view(3, 1, 1), torch.tensor(STD).double().view(3, 1, 1)
    return (images.double() / 255 - mean) / std


def test_uint8_pixels_are_normalized_as_defined(images: Tensor) -> None:
    out = Normalize(MEAN, STD)(images)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out.double(), normalized(images), rtol=1e-6, atol=1e-6)


def test_every_pixel_value_agrees_with_torchvision() -> None:
    from torchvision.transforms.v2 import functional as transforms

    images = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(1, 3, 16, 16)
    reference = transforms.normalize(transforms.to_dtype(images, torch.float32, scale=True), list(MEAN), list(STD))
    torch.testing.assert_close(Normalize(MEAN, STD)(images), reference, rtol=1e-6, atol=2e-6)


def test_float_pixels_of_0_to_255_give_the_same_as_uint8(images: Tensor) -> None:
    normalize = Normalize(MEAN, STD)
    assert torch.equal(normalize(images.float()), normalize(images))
    assert torch.equal(normalize(images.half()), normalize(images))


def test_float_images_are_not_changed_in_place(images: Tensor) -> None:
    given = images.float()
    Normalize(MEAN, STD)(given)
    assert torch.equal(given, images.float())


def test_channels_last_is_kept(images: Tensor) -> None:
    out = Normalize(MEAN, STD)(images.contiguous(memory_format=torch.channels_last))
    assert out.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(out, Normalize(MEAN, STD)(images))


def test_normalization_is_float32_under_autocast(images: Tensor) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = Normalize(MEAN, STD)(images)
    assert torch.equal(out, Normalize(MEAN, STD)(images))


def test_a_network_cast_to_bfloat16_takes_images(images: Tensor) -> None:
    network = make_network().to(torch.bfloat16).eval()
    assert network(images).dtype == torch.bfloat16


@pytest.mark.parametrize(("mean", "std"), [((0.5,), (0.5,)), ((0.5,) * 3, (0.5, 0.0, 0.5)), ((0.5,) * 4, (0.5,) * 3)])
def test_wrong_mean_or_std_is_refused(mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match=r"3 numbers each, std above 0; seen mean=\[0.5"):
        Normalize(mean, std)


def test_mean_and_std_travel_in_the_state_dict() -> None:
    network = ImageNetwork(Normalize(), copy.deepcopy(make_network().backbone), head_parameters=frozenset())
    network.load_state_dict(make_network().state_dict())
    assert network.normalize.mean.tolist() == pytest.approx(MEAN)
    assert network.normalize.std.tolist() == pytest.approx(STD)


def test_logits_are_the_backbone_of_the_normalized_images(images: Tensor) -> None:
    network = make_network().eval()
    expected = network.backbone(normalized(images).float())
    torch.testing.assert_close(network(images), expected)


def test_one_image_gives_the_same_logits_as_in_a_batch(images: Tensor) -> None:
    network = make_network().eval()
    torch.testing.assert_close(network(images[:1]), network(images)[:1])


def test_num_parameters_counts_every_value_once() -> None:
    assert make_network(frozen=True).num_parameters == (4 * 3 * 9 + 4) + (4 + 4) + (2 * 4 + 2)


def test_freezing_leaves_gradients_to_the_head_alone(images: Tensor) -> None:
    network = make_network(frozen=True).train()
    network(images).sum().backward()
    with_gradient = {name for name, parameter in network.named_parameters() if parameter.grad is not None}
    assert with_gradient == network.head_parameters


def test_a_training_step_changes_nothing_of_a_frozen_backbone_but_the_head(images: Tensor) -> None:
    network = make_network(frozen=True).train()
    before = copy.deepcopy(network.state_dict())
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0, weight_decay=0.1)
    network(images).square().sum().backward()
    optimizer.step()
    changed = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == network.head_parameters


def test_dropout_of_a_frozen_backbone_is_off(images: Tensor) -> None:
    network = make_network(frozen=True).train()
    assert torch.equal(network(images), network(images))


def test_dropout_of_a_trained_backbone_is_on(images: Tensor) -> None:
    network = make_network().train()
    assert not torch.equal(network(images), network(images))


def test_a_frozen_backbone_builds_no_graph(images: Tensor) -> None:
    seen: list[Tensor] = []
    network = make_network(frozen=True).train()
    network.backbone.get_submodule("6").register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    assert network(images).requires_grad
    assert not seen[0].requires_grad


def test_a_frozen_network_can_be_told_to_evaluate_and_back() -> None:
    network = make_network(frozen=True)
    assert network.eval().training is False
    assert network.train() is network
    assert network.training
    assert not network.backbone.training


@pytest.mark.parametrize(("freeze", "expected"), [(None, False), ("backbone", True)])
def test_freeze_is_null_or_backbone(freeze: str | None, expected: bool) -> None:
    assert is_frozen(freeze) is expected


def test_another_freeze_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"model.freeze='head': use null .* or backbone "):
        is_frozen("head")


def test_images_too_small_for_the_layers_are_told_before_training() -> None:
    with pytest.raises(ConfigError, match=r"cannot take images of 2 x 9 px: .*Set a larger preprocess.size"):
        check_image_size(make_network(), height=2, width=9)


def test_checking_the_image_size_leaves_the_network_as_it_was(images: Tensor) -> None:
    network = make_network().train()
    before = copy.deepcopy(network.state_dict())
    check_image_size(network, height=9, width=7)
    assert network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert {tensor.device.type for tensor in network.state_dict().values()} == {"cpu"}
