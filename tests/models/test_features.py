"""What enters the head of a network."""

import pytest
import torch

from imgrec.models import make_backbone, make_cifar_resnet, make_small_cnn
from imgrec.models.features import features_and_logits, head_of


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.inference_mode():
        yield


def pixels(size: int) -> torch.Tensor:
    return torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("name", "width"), [("resnet18", 512), ("mobilenet_v3_small", 1024), ("vit_b_16", 768), ("densenet121", 1024)]
)
def test_the_head_makes_the_logits_of_them(name, width):
    network = make_backbone(name, num_classes=3).eval()
    images = pixels(224 if name.startswith("vit") else 64)
    features, logits = features_and_logits(network, images)
    assert features.shape == (2, width)
    torch.testing.assert_close(head_of(network)(features), logits)
    torch.testing.assert_close(logits, network(images))


@pytest.mark.parametrize("make", [make_small_cnn, make_cifar_resnet])
def test_the_small_networks_have_them_too(make):
    network = make(num_classes=4).eval()
    features, logits = features_and_logits(network, pixels(32))
    torch.testing.assert_close(head_of(network)(features), logits)


def test_a_map_is_averaged_over_its_places():
    network = make_backbone("squeezenet1_1", num_classes=3).eval()
    features, logits = features_and_logits(network, pixels(64))
    assert (features.shape, logits.shape) == ((2, 512), (2, 3))


def test_nothing_stays_behind_on_the_network():
    network = make_small_cnn(num_classes=4).eval()
    features_and_logits(network, pixels(32))
    assert not head_of(network)._forward_pre_hooks
