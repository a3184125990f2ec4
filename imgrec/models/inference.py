"""Inference: from images to logits, and to the features that enter the head."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from imgrec.models.network import ImageNetwork

__all__ = ["Outputs", "has_features", "head_of", "infer"]

FloatArray = NDArray[np.float32]


class Outputs(NamedTuple):
    """What a model computes for N images.

    Attributes:
        logits: float32 (N, C).
        features: float32 (N, D), the input of the head, averaged over places where it is a map; empty (0, 0) unless
            asked for.
    """

    logits: FloatArray
    features: FloatArray


def infer(
    network: Callable[[Tensor], Tensor],
    batches: Iterable[NDArray[np.uint8] | Tensor],
    *,
    device: torch.device | str = "cpu",
    with_features: bool = False,
) -> Outputs:
    """Run a model over batches of images, one after the other, without gradients.

    Args:
        network: In evaluation mode, on `device`.
        batches: Arrays uint8 (n, H, W, 3) or tensors (n, 3, H, W), values 0 to 255; sizes may differ between batches.
        device: Where the network is.
        with_features: Whether to keep the features too; the network must be one that `has_features`.
    """
    logits: list[FloatArray] = []
    features: list[FloatArray] = []
    for batch in batches:
        images = batch if isinstance(batch, Tensor) else _to_planes(batch)
        images = images.to(device, non_blocking=True)
        with torch.inference_mode():
            if with_features:
                assert isinstance(network, ImageNetwork)
                before_head, outputs = _features_and_logits(network, images)
                features.append(_to_numpy(before_head))
            else:
                outputs = network(images)
        logits.append(_to_numpy(outputs))
    return Outputs(_joined(logits), _joined(features))


def has_features(network: object) -> bool:
    """Tell whether the head of a network is known, and with it what enters it."""
    return isinstance(network, ImageNetwork) and bool(network.head_parameters)


def head_of(network: ImageNetwork) -> nn.Module:
    """Return the last layer: the module whose parameters depend on the number of classes."""
    return network.get_submodule(sorted(network.head_parameters)[0].rpartition(".")[0])


def _features_and_logits(network: ImageNetwork, images: Tensor) -> tuple[Tensor, Tensor]:
    inputs: list[Tensor] = []
    handle = head_of(network).register_forward_pre_hook(lambda _, arguments: inputs.append(arguments[0]))
    try:
        logits = network(images)
    finally:
        handle.remove()
    features = inputs[0].flatten(2).mean(dim=2) if inputs[0].ndim > 2 else inputs[0]
    return features, logits


def _to_planes(images: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


def _to_numpy(values: Tensor) -> FloatArray:
    return np.asarray(values.float().cpu().numpy())


def _joined(parts: list[FloatArray]) -> FloatArray:
    return np.concatenate(parts) if parts else np.empty((0, 0), dtype=np.float32)
