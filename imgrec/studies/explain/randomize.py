"""The same network with its knowledge taken away, from the head down: what a map must change with.

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
    """Return a copy of the network in which the weights of a stage are shuffled.

    stage: "head", the last layer; "upper_half", the later half of the layers; "all". images: (N, 3, H, W), 0 to 255.

    The values within each tensor change places, so sizes stay what the layers after it are used to; values drawn anew
    make activations of deep networks vanish or explode, and then every map changes for a reason of its own. For the
    same reason BatchNorm's statistics in the shuffled part are taken again from `images`, mirrored and turned.
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
    """Return the modules with parameters of their own that belong to a stage, in order of definition."""
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
    """Let BatchNorm layers take their mean and variance from the images, in one pass, the lowest first."""
    if not layers:
        return
    views = torch.cat([images, images.flip(2), images.flip(3), images.flip(2, 3)])
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = 1.0  # what is seen, instead of what was
        layer.train()
    network(views)
    for layer in layers:
        layer.eval()
