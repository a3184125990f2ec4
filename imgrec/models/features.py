"""Features: what enters the head of a network."""

import torch
from torch import Tensor, nn

from imgrec.models.network import ImageNetwork

__all__ = ["features_and_logits", "head_of"]


def head_of(network: ImageNetwork) -> nn.Module:
    """Return the last layer: the module whose parameters depend on the number of classes."""
    return network.get_submodule(sorted(network.head_parameters)[0].rpartition(".")[0])


def features_and_logits(network: ImageNetwork, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return features and logits of images, without gradients.

    Args:
        network: The network.
        images: (N, 3, H, W), 0 to 255.

    Returns:
        Features float32 (N, D), averaged over positions if the head's input is a map; logits float32 (N, C).
    """
    seen: list[Tensor] = []
    handle = head_of(network).register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        with torch.inference_mode():
            logits = network(images)
    finally:
        handle.remove()
    features = seen[0].flatten(2).mean(dim=2) if seen[0].ndim > 2 else seen[0]
    return features.float(), logits.float()
