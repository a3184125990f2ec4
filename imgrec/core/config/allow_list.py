"""Build objects from the configuration inside a checkpoint, by an allow-list: the file may come from anybody.

Hydra's block list still calls `torch.load`, `numpy.load`, `open` or `urlopen` where a configuration names them. Here
only what is on the list is ever called; no interpolation is resolved, no environment variable read, and no module
imported by a name that the configuration chooses.
"""

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from imgrec.core.config.signature import name_of
from imgrec.core.text import listed
from imgrec.errors import CheckpointError

__all__ = ["ALLOWED", "OURS", "build_trusted_only", "current_name", "with_current_names"]

# Our own: the public names that describe a network, its data and its metrics. Not all of imgrec:
# `imgrec.core.config.build.build` would call anything.
OURS: Mapping[str, frozenset[str] | None] = {
    "imgrec.models": frozenset({"make_backbone", "make_cifar_resnet", "make_small_cnn"}),
    "imgrec.training.losses": None,  # None = every public class
    "imgrec.data.sources": None,
    "imgrec.data": frozenset({"Augment", "BatchAugment", "Preprocess"}),
}
# Others: package -> (modules a class must come from, what it must be). torchmetrics only for classification: its text
# and image-generation metrics fetch networks by name.
ALLOWED: Mapping[str, tuple[tuple[str, ...], str]] = {
    "torch.nn": (("torch.nn.modules.",), "torch.nn.Module"),
    "torchmetrics": (
        ("torchmetrics.classification.", "torchmetrics.aggregation.", "torchmetrics.collections."),
        "torch.nn.Module",
    ),
    "albumentations": (("albumentations.",), "albumentations.core.serialization.Serializable"),
    "pytorch_lightning.callbacks": (("pytorch_lightning.callbacks.",), "pytorch_lightning.Callback"),
}
# Names in checkpoints by version 0.1.0, before the modules moved: what a `_target_` began with, and begins with now.
MOVED: Mapping[str, str] = {
    "imgrec.callbacks": "imgrec.training.callbacks",
    "imgrec.classifier": "imgrec.training.classifier",
    "imgrec.corruptions": "imgrec.studies.robustness.corruption",
    "imgrec.decisions": "imgrec.evaluation.decisions",
    "imgrec.explain": "imgrec.studies.explain",
    "imgrec.losses": "imgrec.training.losses",
    "imgrec.mixing": "imgrec.data.augment.mixing",
    "imgrec.ood": "imgrec.studies.ood",
    "imgrec.optim": "imgrec.training.optim",
    "imgrec.robustness": "imgrec.studies.robustness",
    "imgrec.sources": "imgrec.data.sources",
    "imgrec.trainer": "imgrec.training.trainer",
    "imgrec.tta": "imgrec.studies.tta",
}
_MAX_DEPTH = 20


def current_name(target: str) -> str:
    """Return the dotted name by which a `_target_` of an earlier version is found now; other names unchanged."""
    package = next((old for old in MOVED if f"{target}.".startswith(f"{old}.")), None)
    return target if package is None else MOVED[package] + target.removeprefix(package)


def with_current_names(config: Any) -> Any:
    """Return a configuration, plain data, with each `_target_` in it by its `current_name`."""
    if isinstance(config, list):
        return [with_current_names(item) for item in config]
    if not isinstance(config, dict):
        return config
    found = {key: with_current_names(item) for key, item in config.items()}
    return found | {"_target_": current_name(found["_target_"])} if isinstance(found.get("_target_"), str) else found


def build_trusted_only(config: Mapping[str, Any], /, *, key: str = "config", **given: Any) -> Any:
    """Build the object that `config` names in `_target_`, if it and all inside it are on the allow-list.

    The list is checked on the object that a name leads to, for every object, before the first one is called.

    Args:
        config: Plain data, as `imgrec.core.config.build.to_plain` returns it.
        key: The name of this part of the configuration in messages.
        **given: Passed to the outermost object as it is, in place of keys of the same name.

    Raises:
        CheckpointError: A name outside the list, an interpolation, or values that the object does not accept.
    """
    plan = _plan({name: value for name, value in config.items() if name not in given}, key=key, depth=0)
    if not isinstance(plan, _Call):
        raise CheckpointError(f"{key}: the checkpoint's configuration names no class.")
    return plan.run(given)


class _Call:
    """One object to be made: an allowed class or function, and its arguments, which may be calls themselves."""

    def __init__(self, target: Callable[..., Any], arguments: dict[str, Any], *, key: str) -> None:
        self.target = target
        self.arguments = arguments
        self.key = key

    def run(self, given: Mapping[str, Any]) -> Any:
        arguments = {**_made(self.arguments), **given}
        try:
            return self.target(**arguments)
        except (TypeError, ValueError) as error:
            raise CheckpointError(
                f"{self.key}: {name_of(self.target)} does not accept the checkpoint's values: {error}"
            ) from error


def _made(value: Any) -> Any:
    """Return `value` with every call in it replaced by what it makes."""
    if isinstance(value, _Call):
        return value.run({})
    if isinstance(value, dict):
        return {name: _made(item) for name, item in value.items()}
    return [_made(item) for item in value] if isinstance(value, list) else value


def _plan(value: Any, *, key: str, depth: int) -> Any:
    """Return `value` with every `_target_` in it replaced by a call that has been checked. Nothing is called here."""
    if depth > _MAX_DEPTH:
        raise CheckpointError(f"{key}: the checkpoint's configuration is nested deeper than {_MAX_DEPTH} levels.")
    if isinstance(value, list | tuple):
        return [_plan(item, key=f"{key}.{index}", depth=depth + 1) for index, item in enumerate(value)]
    if isinstance(value, Mapping):
        return _plan_mapping(value, key=key, depth=depth)
    if isinstance(value, str) and "${" in value:
        raise CheckpointError(f"{key}={value!r}: an interpolation inside a checkpoint is refused.")
    if value is not None and not isinstance(value, str | bool | int | float):
        raise CheckpointError(
            f"{key}: a value of type {type(value).__name__} inside a checkpoint's configuration is refused."
        )
    return value


def _plan_mapping(value: Mapping[Any, Any], *, key: str, depth: int) -> Any:
    planned = {str(name): _plan(item, key=f"{key}.{name}", depth=depth + 1) for name, item in value.items()}
    if "_target_" not in planned:
        return planned
    target = _allowed(planned.pop("_target_"), key=key)
    planned.pop("_convert_", None)  # lists and dicts are plain here anyway
    special = [name for name in planned if name.startswith("_")]
    if special:
        raise CheckpointError(f"{key}.{special[0]} inside a checkpoint is refused.")
    if planned.get("download"):
        raise CheckpointError(f"{key}.download: a checkpoint may not start a download. Set {key}.download=false.")
    return _Call(target, planned, key=key)


def _allowed(path: object, *, key: str) -> Callable[..., Any]:
    """Return what `path` leads to, if that is on the list; a module outside the list is not even imported."""
    if isinstance(path, str):
        path = current_name(path)
        for package, names in OURS.items():
            if path.startswith(f"{package}."):
                return _ours(package, path.removeprefix(f"{package}."), names=names, key=key)
        for package in ALLOWED:
            if path.startswith(f"{package}."):
                return _theirs(package, path.removeprefix(f"{package}."), key=key)
    raise _refused(path, key=key)


def _ours(package: str, name: str, *, names: frozenset[str] | None, key: str) -> Callable[..., Any]:
    module = import_module(package)
    public = names if names is not None else frozenset(module.__all__)
    target: object = getattr(module, name, None) if name in public else None
    is_ours = callable(target) and str(getattr(target, "__module__", "")).startswith("imgrec.")
    if not is_ours or not (names is not None or inspect.isclass(target)):
        raise _refused(f"{package}.{name}", key=key)
    assert callable(target)
    return target


def _theirs(package: str, name: str, *, key: str) -> Callable[..., Any]:
    origins, base = ALLOWED[package]
    target: Any = import_module(package)
    for part in name.split("."):
        target = getattr(target, part, None)
    module, _, attribute = base.rpartition(".")
    parent = getattr(import_module(module), attribute)
    if not inspect.isclass(target) or not issubclass(target, parent) or not f"{target.__module__}.".startswith(origins):
        raise _refused(f"{package}.{name}", key=key)
    return target


def _refused(path: object, *, key: str) -> CheckpointError:
    return CheckpointError(
        f"{key}._target_={path}: a checkpoint may not name this; allowed are models, losses, metrics and data of "
        f"{listed([*OURS, *ALLOWED], limit=20)}. If you trust it, choose that part: {key.partition('.')[0]}=NAME."
    )
