"""Rebuilds a model, its preprocessing and its data from a checkpoint, without running code from the file."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from imgrec.core.checkpoint.checkpoint import CheckpointInfo, load_checkpoint
from imgrec.core.config.build import build, build_from_checkpoint, is_overridden
from imgrec.core.text import counted, listed
from imgrec.data.images.preprocess import Preprocess
from imgrec.errors import CheckpointError

if TYPE_CHECKING:
    from imgrec.data.loading.datamodule import ImageDataModule

__all__ = ["OBJECT_KEY", "LoadedClassifier", "build_network", "from_checkpoint", "load_classifier", "load_exactly"]


OBJECT_KEY = "_object_"  # of a group in a checkpoint's configuration: it was an object handed over from Python


class LoadedClassifier(NamedTuple):
    """A model rebuilt from a checkpoint.

    Attributes:
        network: Images (N, 3, H, W), uint8 or float 0-255, to logits (N, C); on the CPU, in evaluation mode.
        preprocess: An image uint8 (H, W, 3) to the input of the network.
        info: Class names, task, seed and the whole configuration.
    """

    network: nn.Module
    preprocess: Preprocess
    info: CheckpointInfo


def load_classifier(
    path: str | Path, *, network: nn.Module | None = None, trust: Collection[str] = ()
) -> LoadedClassifier:
    """Build network and preprocessing from a checkpoint; no data is read, no code in the file is run.

    Args:
        path: Of the checkpoint.
        network: For a checkpoint whose network was an object from Python: an equal one, which gets the weights.
        trust: Classes outside the allow-list that the checkpoint may name, such as `"mypackage.MyNet"`.

    Raises:
        CheckpointError: Absent, damaged, not by imgrec, or something in it is outside the allow-list.
    """
    payload = load_checkpoint(path)
    info = CheckpointInfo.from_checkpoint(payload, name=str(path))
    network = build_network(payload, info, name=str(path), network=network, trust=trust)
    preprocess = build_from_checkpoint(info.config.get("preprocess"), None, key="preprocess")
    if not isinstance(preprocess, Preprocess):
        kind = type(preprocess).__name__
        raise CheckpointError(
            f"{path}: its preprocess is of type {kind}, not a Preprocess. Train again with this imgrec."
        )
    return LoadedClassifier(network.eval(), preprocess, info)


def build_network(
    payload: Mapping[str, Any],
    info: CheckpointInfo,
    *,
    name: str,
    changes: DictConfig | None = None,
    network: nn.Module | None = None,
    trust: Collection[str] = (),
) -> nn.Module:
    """Build the network of a checkpoint and load its weights; `name` names the file in messages."""
    saved = info.config.get("model") or {}
    if network is None and OBJECT_KEY in saved:
        kind = saved[OBJECT_KEY].rpartition(".")[2]
        raise CheckpointError(
            f"{name}: its model was an object from Python ({saved[OBJECT_KEY]}), which a checkpoint cannot build. "
            f"Give an equal one in Python: imgrec.load({name!r}, model={kind}(...)) or "
            f"imgrec.evaluate({f'checkpoint={name}'!r}, model={kind}(...))."
        )
    given = None if network is None else type(network).__name__
    if network is None and saved.get("_target_") in trust:
        network = build({**saved, "weights": None} if "weights" in saved else saved)
    if network is None:
        network = build_from_checkpoint(saved, changes, key="model", weights=None)
    assert network is not None
    tensors = {
        key.removeprefix("net."): value for key, value in payload["state_dict"].items() if key.startswith("net.")
    }
    load_exactly(network, tensors, name=name, given=given)
    return network


def from_checkpoint(
    payload: Mapping[str, Any], config: DictConfig, *, network: nn.Module | None = None
) -> tuple[DictConfig, "ImageDataModule", nn.Module]:
    """Build the data and the network that a loaded checkpoint describes, with the user's changes on top.

    Returns:
        The configuration with the checkpoint's seed where the user gives none, the data module, the network.
    """
    name = str(config.checkpoint)
    info = CheckpointInfo.from_checkpoint(payload, name=name)
    network = build_network(payload, info, changes=config.get("model"), name=name, network=network)
    # data=digits brings its own preprocessing along; the network needs what it was trained with.
    changes = config.get("preprocess") if is_overridden("preprocess") else None
    preprocess = build_from_checkpoint(info.config.get("preprocess"), changes, key="preprocess")
    if not is_overridden("seed"):
        config = config.copy()
        config.seed = info.seed  # a random split is the one of the training
    data: ImageDataModule = build_from_checkpoint(
        info.config.get("data"), config.get("data"), key="data", preprocess=preprocess, augment=None, num_classes=None
    )
    data.given_class_names = list(info.class_names)
    data.log_notes()
    return config, data, network


@torch.no_grad()
def load_exactly(module: nn.Module, tensors: Mapping[str, Tensor], *, name: str, given: str | None = None) -> None:
    """Copy `tensors` into the module; names and shapes must be the same.

    Copied into the module's own state dict, which carries version numbers that some networks need.

    Args:
        module: Gets the tensors.
        tensors: By their names in the module.
        name: Of their source, for messages.
        given: Class of the module where it is the caller's own; None where imgrec built it.

    Raises:
        CheckpointError: Names or shapes differ.
    """
    own = module.state_dict()
    differing = [key for key in own.keys() & tensors.keys() if own[key].shape != tensors[key].shape]
    wrong = sorted({*(own.keys() ^ tensors.keys()), *differing})
    if wrong:
        shown = listed([_difference(key, own.get(key), tensors.get(key)) for key in wrong], limit=5, separator="; ")
        if given is not None:
            raise CheckpointError(
                f"{name}: your {given} differs from the trained one in {counted(len(wrong), 'tensor')}: {shown}. "
                "Build it with the same arguments as for the training."
            )
        raise CheckpointError(
            f"{name} does not fit the model that it describes: {counted(len(wrong), 'tensor')} missing, unexpected or "
            f"of another shape: {shown}. Do not override the model of a checkpoint."
        )
    for key, value in own.items():
        value.copy_(tensors[key])


def _difference(key: str, own: Tensor | None, trained: Tensor | None) -> str:
    if own is None or trained is None:
        return f"{key} only in the {'checkpoint' if own is None else 'model'}"
    return f"{key} {tuple(own.shape)}, trained {tuple(trained.shape)}"
