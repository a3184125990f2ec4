"""Networks with randomised weights, from the head down: the model parameter randomisation test.

Adebayo et al. 2018, "Sanity checks for saliency maps", arXiv:1810.03292, section 3.1 (cascading randomisation).
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from imgrec.models.network import ImageNetwork

__all__ = ["STAGES", "randomized"]

STAGES = ("head", "upper_half", "all")


@torch.no_grad()
def randomized(network: nn.Module, stage: str, *, seed: int, images: Tensor) -> nn.Module:
    """Return a copy of the network with shuffled weights.

    The values within each tensor are permuted, which keeps their scale: newly drawn values make the activations of deep
    networks vanish or explode, and every map would change for that reason. For the same reason the BatchNorm statistics
    of the shuffled layers are measured again, on `images` and their mirror images.

    Args:
        network: Not changed.
        stage: "head", the last layer; "upper_half", the later half of the layers; or "all".
        seed: Of the permutations.
        images: (N, 3, H, W), 0 to 255.
    """
    assert stage in STAGES
    changed = copy.deepcopy(network)
    generator = torch.Generator().manual_seed(seed)
    layers = _upper_layers(changed, stage)
    for layer in layers:
        for parameter in layer.parameters(recurse=False):
            order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))
    _measure_statistics(changed, [layer for layer in layers if isinstance(layer, _BatchNorm)], images=images)
    return changed


def _upper_layers(network: nn.Module, stage: str) -> list[nn.Module]:
    """Return the modules of a stage that have parameters of their own, in order of definition."""
    layers = [module for module in network.modules() if next(module.parameters(recurse=False), None) is not None]
    if stage == "all":
        return layers
    if stage == "upper_half":
        return layers[len(layers) // 2 :]
    if isinstance(network, ImageNetwork):
        names = {name.rpartition(".")[0] for name in network.head_parameters}
        return [network.get_submodule(name) for name in sorted(names)]
    return layers[-1:]


def _measure_statistics(network: nn.Module, layers: Sequence[_BatchNorm], *, images: Tensor) -> None:
    """Set mean and variance of BatchNorm layers from the images, in one forward pass."""
    if not layers:
        return
    views = torch.cat([images, images.flip(2), images.flip(3), images.flip(2, 3)])
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = 1.0  # statistics of this batch only
        layer.train()
    network(views)
    for layer in layers:
        layer.eval()
