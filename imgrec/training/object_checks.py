"""Checks of objects that a program hands over in place of a configuration group, each called once before training.

A configuration is checked against the signature of what it builds. An object has no configuration: what it does wrong
would otherwise show as an error of PyTorch in the first step, or after it.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from pytorch_lightning.loggers import Logger
from torch import Tensor, nn
from torch.optim import Optimizer
from torchmetrics import MetricCollection

from imgrec.core.text import listed
from imgrec.data.loading.datamodule import ImageDataModule
from imgrec.errors import ConfigError, did_you_mean
from imgrec.training.classifier import Classifier

__all__ = ["PARTS", "prepared_objects", "try_objects"]

# Groups that an object may replace, and the argument of `Classifier` that each is.
PARTS = {
    name: "net" if name == "model" else name
    for name in ("model", "loss", "metrics", "optimizer", "scheduler", "mixing")
}
_OBJECTS = (*PARTS, "data", "callbacks", "logger")
_KINDS: Mapping[str, tuple[Any, str]] = {
    "model": (nn.Module, 'an nn.Module, or the override "model=resnet18"'),
    "metrics": ((MetricCollection, dict), "a MetricCollection, or a dict of torchmetrics metrics by name"),
    "data": (ImageDataModule, 'an ImageDataModule, or the overrides "data=folder", "data.root=photos"'),
    "callbacks": (list | tuple, "a list of Lightning callbacks"),
    "logger": (Logger, "a Lightning logger"),
    "optimizer": (Callable, "a function of the network: lambda network: torch.optim.Adam(network.parameters())"),
}
_CALLABLE: tuple[Any, str] = (Callable, "callable")
_ARE_CALLED = ("optimizer", "scheduler")  # where a class does as well as a function


def prepared_objects(objects: Mapping[str, Any]) -> dict[str, Any]:
    """Return the objects as a run uses them: metrics as a collection, an optimizer as a function of the network.

    Raises:
        ConfigError: An object for a group that does not exist, or of a kind that the group cannot use.
    """
    for name, value in objects.items():
        if name not in _OBJECTS:
            raise ConfigError(
                f"There is no group {name!r} for an object.{did_you_mean(name, _OBJECTS)} Groups: "
                f'{", ".join(_OBJECTS)}. Keys are overrides: "trainer.max_epochs=1".'
            )
        kinds, description = _KINDS.get(name, _CALLABLE)
        if isinstance(value, type) and name not in _ARE_CALLED:
            raise ConfigError(f"{name}={value.__name__} is a class. Give an instance: {name}={value.__name__}(...).")
        if not isinstance(value, kinds):
            raise ConfigError(f"{name} is of type {type(value).__name__}, but it must be {description}.")
    found = dict(objects)
    if isinstance(found.get("metrics"), dict):
        found["metrics"] = MetricCollection(found["metrics"])
    if "optimizer" in found:
        found["optimizer"] = _of_network(found["optimizer"])
    return found


def _of_network(optimizer: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of the network for a class of `torch.optim`, also with options by `functools.partial`."""
    made = optimizer.func if isinstance(optimizer, partial) else optimizer
    if not (isinstance(made, type) and issubclass(made, Optimizer)):
        return optimizer
    return lambda network: optimizer([parameter for parameter in network.parameters() if parameter.requires_grad])


def try_objects(objects: Mapping[str, Any], classifier: Classifier, data: ImageDataModule) -> None:
    """Call each object once on a made-up batch of two images, and check what it returns.

    Raises:
        ConfigError: It raises, or returns something that training cannot use.
    """
    num_classes = len(data.splits.class_names)
    size = getattr(data.preprocess, "height_width", None)
    if "model" in objects and size is not None:
        _try_network(classifier.net, size, data.splits.class_names)
    logits = torch.zeros(2, num_classes, requires_grad=True)
    labels = torch.tensor([0, num_classes - 1])
    if data.splits.task == "multilabel":
        labels = nn.functional.one_hot(labels, num_classes)
    if "loss" in objects:
        _try_loss(classifier.loss, logits, labels)
        if classifier.mixing is not None:
            _, mixed = classifier.mixing(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), labels, key=(0, 0, 0, 0))
            _try_loss(classifier.loss, logits, mixed)
    if "metrics" in objects:
        predictions = classifier.predict(logits.detach())
        for name, metric in classifier.val_metrics.metrics.clone().items():
            _tried(f"metrics[{name!r}]", "predictions and labels", partial(metric, predictions, labels))
    if {"optimizer", "scheduler"} & objects.keys():
        _try_optimizer(objects, classifier)


def _try_network(network: nn.Module, size: tuple[int, int], class_names: Any) -> None:
    images = torch.zeros(2, 3, *size, dtype=torch.uint8)
    was_training = network.training
    network.eval()
    with torch.no_grad():
        logits = _tried("model", f"uint8 images {tuple(images.shape)}, 0 to 255", lambda: network(images))
    network.train(was_training)
    if not isinstance(logits, Tensor) or not logits.is_floating_point():
        raise ConfigError(f"model returns {_kind(logits)}, but it must return logits, a float tensor (N, C).")
    if tuple(logits.shape) != (2, len(class_names)):
        raise ConfigError(
            f"model returns shape {tuple(logits.shape)} for 2 images, but the data has {len(class_names)} classes "
            f"({listed(class_names, limit=5)}): it must return (2, {len(class_names)})."
        )


def _try_loss(loss: Callable[..., Any], logits: Tensor, targets: Tensor) -> None:
    kind = f"{str(targets.dtype).removeprefix('torch.')} targets {tuple(targets.shape)}"
    value = _tried("loss", f"logits {tuple(logits.shape)} and {kind}", lambda: loss(logits, targets))
    if not isinstance(value, Tensor) or value.numel() != 1 or not value.requires_grad:
        raise ConfigError(
            f"loss returns {_kind(value)}, but it must return a scalar tensor that depends on the logits "
            "(the mean over the batch)."
        )


def _try_optimizer(objects: Mapping[str, Any], classifier: Classifier) -> None:
    optimizer = _tried("optimizer", "the network", lambda: classifier.optimizer_factory(classifier.net))
    if not isinstance(optimizer, Optimizer):
        raise ConfigError(f"optimizer returns {_kind(optimizer)}, but it must return a torch.optim.Optimizer.")
    make = classifier.scheduler_factory
    if "scheduler" in objects and make is not None:
        _tried(
            "scheduler",
            "the optimizer, total_steps=10, steps_per_epoch=5",
            lambda: make(optimizer, total_steps=10, steps_per_epoch=5),
        )


def _tried(name: str, given: str, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:  # whatever the user's object raises
        reason = (str(error).strip().splitlines() or [""])[0]
        raise ConfigError(
            f"{name} was called with {given} and raised {type(error).__name__}: {reason}. "
            "CONTRIBUTING.md lists what each part is called with."
        ) from error


def _kind(value: Any) -> str:
    return f"a tensor {tuple(value.shape)} of {value.dtype}" if isinstance(value, Tensor) else type(value).__name__
