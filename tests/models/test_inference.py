"""Logits and features of images: against the network itself, bit for bit."""

import numpy as np
import pytest
import torch
from torch import nn

from imgrec.models import make_backbone, make_cifar_resnet, make_small_cnn
from imgrec.models.inference import has_features, head_of, infer


def arrays(size: int, count: int = 2) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def direct(network: nn.Module, images: np.ndarray) -> np.ndarray:
    """Return the logits as a user of PyTorch would compute them."""
    with torch.inference_mode():
        return network(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()).numpy()


def head_output(network: nn.Module, features: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return head_of(network)(torch.from_numpy(features)).numpy()


@pytest.mark.parametrize("with_features", [False, True])
def test_logits_are_those_of_the_network_bit_for_bit(with_features):
    network = make_cifar_resnet(num_classes=4).eval()
    images = arrays(32, 7)
    found = infer(network, [images[:4], images[4:]], with_features=with_features).logits
    expected = np.concatenate([direct(network, images[:4]), direct(network, images[4:])])
    assert np.array_equal(found, expected)
    assert found.dtype == np.float32


def test_arrays_and_tensors_give_the_same():
    network, images = make_small_cnn(num_classes=4).eval(), arrays(32, 3)
    tensor = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    assert np.array_equal(infer(network, [images]).logits, infer(network, [tensor]).logits)


def test_batches_are_taken_one_by_one_and_may_differ_in_size():
    network, taken = make_small_cnn(num_classes=4).eval(), []

    def batches():
        for size in (32, 48):
            taken.append(size)
            yield arrays(size, 3)

    assert infer(network, batches()).logits.shape == (6, 4)
    assert taken == [32, 48]


def test_no_batch_gives_no_rows():
    found = infer(make_small_cnn(num_classes=4).eval(), [], with_features=True)
    assert (found.logits.shape, found.features.shape) == ((0, 0), (0, 0))


def test_logits_of_lower_precision_come_as_float32():
    found = infer(lambda images: images.bfloat16().mean(dim=(2, 3)), [arrays(8)])
    assert found.logits.dtype == np.float32


@pytest.mark.parametrize(
    ("name", "width"), [("resnet18", 512), ("mobilenet_v3_small", 1024), ("vit_b_16", 768), ("densenet121", 1024)]
)
def test_the_head_makes_the_logits_of_the_features(name, width):
    network = make_backbone(name, num_classes=3).eval()
    images = arrays(224 if name.startswith("vit") else 64)
    found = infer(network, [images], with_features=True)
    assert found.features.shape == (2, width)
    np.testing.assert_allclose(head_output(network, found.features), found.logits, rtol=1e-4, atol=1e-5)
    assert np.array_equal(found.logits, direct(network, images))


@pytest.mark.parametrize("make", [make_small_cnn, make_cifar_resnet])
def test_the_small_networks_have_features_too(make):
    network = make(num_classes=4).eval()
    found = infer(network, [arrays(32)], with_features=True)
    np.testing.assert_allclose(head_output(network, found.features), found.logits, rtol=1e-4, atol=1e-5)


def test_a_map_is_averaged_over_its_places():
    network = make_backbone("squeezenet1_1", num_classes=3).eval()
    found = infer(network, [arrays(64)], with_features=True)
    assert (found.features.shape, found.logits.shape) == ((2, 512), (2, 3))


def test_nothing_stays_behind_on_the_network():
    network = make_small_cnn(num_classes=4).eval()
    infer(network, [arrays(32)], with_features=True)
    assert not head_of(network)._forward_pre_hooks


def test_features_are_known_for_networks_with_a_known_head_only():
    assert has_features(make_small_cnn(num_classes=4))
    assert not has_features(nn.Linear(3, 2))
