"""A network and its preprocessing from a checkpoint alone: no data is read, no code in the file is run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from imgrec.core.checkpoint.checkpoint import CheckpointInfo, load_checkpoint
from imgrec.core.config.build import build_from_checkpoint
from imgrec.core.config.checks import listed
from imgrec.data.images.preprocess import Preprocess
from imgrec.errors import CheckpointError

__all__ = ["LoadedClassifier", "build_network", "load_classifier", "load_exactly"]


class LoadedClassifier(NamedTuple):
    """What a checkpoint says how to build, without its data.

    network: images (N, 3, H, W), uint8 or float 0-255, to logits (N, C); on the CPU, in evaluation mode.
    preprocess: an image uint8 (H, W, 3) to what the network was trained on.
    info: class names, task, seed and the whole configuration.
    """

    network: nn.Module
    preprocess: Preprocess
    info: CheckpointInfo


def load_classifier(path: str | Path) -> LoadedClassifier:
    """Build network and preprocessing from a checkpoint alone: no data is read, no code in the file is run.

    Raises: CheckpointError: absent, damaged, not by imgrec, or something in it is outside the allow-list.
    """
    payload = load_checkpoint(path)
    info = CheckpointInfo.from_checkpoint(payload, name=str(path))
    network = build_network(payload, info, changes=None, name=str(path))
    preprocess = build_from_checkpoint(info.config.get("preprocess"), None, key="preprocess")
    if not isinstance(preprocess, Preprocess):
        kind = type(preprocess).__name__
        raise CheckpointError(f"{path}: its preprocess makes a {kind}, not a Preprocess. Train again with this imgrec.")
    return LoadedClassifier(network.eval(), preprocess, info)


def build_network(
    payload: Mapping[str, Any], info: CheckpointInfo, *, changes: DictConfig | None, name: str
) -> nn.Module:
    """Build the network of a checkpoint and give it the checkpoint's tensors; `name` is what messages call the file."""
    network: nn.Module = build_from_checkpoint(info.config.get("model"), changes, key="model", weights=None)
    tensors = {
        key.removeprefix("net."): value for key, value in payload["state_dict"].items() if key.startswith("net.")
    }
    load_exactly(network, tensors, name=name)
    return network


@torch.no_grad()
def load_exactly(module: nn.Module, tensors: Mapping[str, Tensor], *, name: str) -> None:
    """Copy `tensors` into the module: the same names, the same shapes. `name` is what messages call their source.

    Copied into the module's own state dict, which carries version numbers that some networks ask for.
    Raises: CheckpointError: names or shapes differ.
    """
    own = module.state_dict()
    differing = [key for key in own.keys() & tensors.keys() if own[key].shape != tensors[key].shape]
    wrong = sorted({*(own.keys() ^ tensors.keys()), *differing})
    if wrong:
        raise CheckpointError(
            f"{name} does not fit the network that it describes: {len(wrong)} tensors are missing, left over or of "
            f"another shape ({listed(wrong, limit=5)}). Leave the model as the checkpoint has it."
        )
    for key, value in own.items():
        value.copy_(tensors[key])
