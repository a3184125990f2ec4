"""From a configuration to what a job works with: data, network, record; and the checks between them."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from imgrec import __version__
from imgrec.auditing.before_training import check_data
from imgrec.core.checkpoint.checkpoint import CheckpointInfo, load_checkpoint
from imgrec.core.config.build import build, build_from_checkpoint, is_typed, to_plain
from imgrec.data.images.preprocess import Preprocess
from imgrec.data.loading.datamodule import ImageDataModule
from imgrec.errors import CheckpointError, ConfigError
from imgrec.models.network import ImageNetwork, check_image_size

__all__ = [
    "LoadedClassifier",
    "check_network",
    "check_task",
    "from_checkpoint",
    "from_weights",
    "load_classifier",
    "load_exactly",
    "make_record",
    "read_data",
]

log = logging.getLogger("imgrec")


def read_data(config: DictConfig, *, report_to: Path | None = None, **given: Any) -> ImageDataModule:
    """Read the data of a configuration, and write what was found into it for the parts that depend on it.

    report_to: for training: look at all images first, and report there what had to be left out.
    """
    data: ImageDataModule = build(config.data, **given)
    _splits(data)
    if report_to is not None:
        data.quarantine.folder = report_to
        check_data(data)
    splits = data.splits
    config.data.num_classes = len(splits.class_names)
    if splits.train is not None:
        config.data.num_samples = len(splits.train)
        config.data.class_counts = count_classes(splits.train.labels, len(splits.class_names))
    return data


def _splits(data: ImageDataModule) -> Any:
    for note in data.splits.notes:
        log.warning(note)
    return data.splits


def count_classes(labels: Any, num_classes: int) -> list[int]:
    """Return the images per class, from labels int64 (N,) or 0/1 (N, C)."""
    counts = labels.sum(axis=0, dtype=np.int64) if labels.ndim == 2 else np.bincount(labels, minlength=num_classes)
    return [int(count) for count in counts]


def check_task(config: DictConfig, data: ImageDataModule) -> None:
    """Check that the loss and the scores are made for as many labels an image as the data has. Raises: ConfigError."""
    is_multilabel = data.splits.task == "multilabel"
    takes_many = "BinaryCrossEntropy" in str(config.loss.get("_target_", "")) and not config.loss.get("one_hot", False)
    if is_multilabel and not takes_many:
        raise ConfigError("The data has several labels per image. Add loss=bce metrics=multilabel.")
    if is_multilabel != ("Multilabel" in str(config.metrics)):
        found, right = ("several labels", "multilabel") if is_multilabel else ("one label", "single")
        raise ConfigError(f"The data has {found} per image. Add metrics={right}.")


def check_network(network: Any, preprocess: Any) -> None:
    """Check that the network takes images of the preprocessed size, and say what would learn nothing.

    Raises: ConfigError.
    """
    if not isinstance(network, ImageNetwork):
        return
    size = getattr(preprocess, "height_width", None)
    if size is not None:
        check_image_size(network, height=size[0], width=size[1])
    if network.frozen and network.loaded is None:
        log.warning("model.freeze=backbone with model.weights=null: the head learns from random features.")


def make_record(config: DictConfig, data: ImageDataModule, *, world_size: int) -> dict[str, Any]:
    """Return what a checkpoint carries besides tensors: all that is needed to build and to check it again."""
    return CheckpointInfo(
        config=to_plain(config),
        class_names=list(data.splits.class_names),
        task=data.splits.task,
        data_fingerprint=data.fingerprint(),
        seed=config.seed,
        batch_size=data.batch_size,
        world_size=world_size,
        version=__version__,
        extra=_split_record(data),
    ).to_record()


def _split_record(data: ImageDataModule) -> dict[str, Any]:
    """Return what a checkpoint says of the split file that divided its data: digest, rule and seed."""
    if data.split_file is None:
        return {}
    from imgrec.data.splits.split_file import describe

    return {"splits": {**describe(data.split_file), "fold": data.fold}}


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
    network = _network(payload, info, changes=None, name=str(path))
    preprocess = build_from_checkpoint(info.config.get("preprocess"), None, key="preprocess")
    if not isinstance(preprocess, Preprocess):
        kind = type(preprocess).__name__
        raise CheckpointError(f"{path}: its preprocess makes a {kind}, not a Preprocess. Train again with this imgrec.")
    return LoadedClassifier(network.eval(), preprocess, info)


def from_checkpoint(payload: Mapping[str, Any], config: DictConfig) -> tuple[ImageDataModule, nn.Module]:
    """Build the data and the network that a loaded checkpoint describes, with the user's changes on top."""
    name = str(config.checkpoint)
    info = CheckpointInfo.from_checkpoint(payload, name=name)
    saved = info.config
    network = _network(payload, info, changes=config.get("model"), name=name)
    # data=digits brings its own preprocessing along; the network wants what it was trained with.
    changes = config.get("preprocess") if is_typed("preprocess") else None
    preprocess = build_from_checkpoint(saved.get("preprocess"), changes, key="preprocess")
    if not is_typed("seed"):
        config.seed = info.seed  # data that is divided by chance is divided as it was for training
    data = build_from_checkpoint(
        saved.get("data"), config.get("data"), key="data", preprocess=preprocess, augment=None, num_classes=None
    )
    data.given_class_names = list(info.class_names)
    _splits(data)
    return data, network


def _network(payload: Mapping[str, Any], info: CheckpointInfo, *, changes: DictConfig | None, name: str) -> nn.Module:
    """Build the network of a checkpoint and give it the checkpoint's tensors; `name` is what messages call the file."""
    network: nn.Module = build_from_checkpoint(info.config.get("model"), changes, key="model", weights=None)
    tensors = {
        key.removeprefix("net."): value for key, value in payload["state_dict"].items() if key.startswith("net.")
    }
    load_exactly(network, tensors, name=name)
    return network


def from_weights(config: DictConfig) -> tuple[ImageDataModule, nn.Module]:
    """Build the data and the network that the command line names; the classes are those of the data.

    Raises: ConfigError: something is not named, or the weights have no head for these classes.
    """
    _check_named(config)
    preprocess = build(config.preprocess) if config.get("preprocess") else Preprocess(size=224)
    data = read_data(config, preprocess=preprocess, augment=None)
    for name in ("preprocess", "augment"):  # data refer to these groups, which evaluation leaves out by default
        if not config.get(name):
            config.data[name] = None
    network = build(config.model)
    if network.loaded is not None and network.loaded.head_is_fresh:
        raise ConfigError(
            f"The data has {len(data.splits.class_names)} classes, and {config.model.weights} has no head for so many. "
            "Evaluate on data of the classes that the weights were trained for, or train first."
        )
    log.warning("Classes are taken from the data, in its order: %s.", _some(data.splits.class_names))
    log.info("%s (another: preprocess=NAME)", preprocess)
    return data, network


def _check_named(config: DictConfig) -> None:
    if not config.get("model") or "_target_" not in config.model:
        raise ConfigError("Nothing to evaluate. Give checkpoint=PATH, or model=NAME model.weights=FILE data=NAME ...")
    if not config.get("data") or "_target_" not in config.data:
        raise ConfigError("Which data? Add data=folder data.test=FOLDER, or another data source.")
    if not config.model.get("weights"):
        raise ConfigError("A network without weights knows nothing. Add model.weights=FILE, or give checkpoint=PATH.")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


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
            f"another shape ({_some(wrong[:5])}). Leave the model as the checkpoint has it."
        )
    for key, value in own.items():
        value.copy_(tensors[key])
