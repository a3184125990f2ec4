"""Describe a checkpoint for its export: enough to find the run again, no paths."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from torch import nn

from imgrec import __version__
from imgrec.core.checkpoint.checkpoint import CheckpointInfo
from imgrec.data.images.preprocess import Preprocess
from imgrec.data.samples import Task
from imgrec.deploy.bundle import BundleInfo
from imgrec.evaluation.decisions import Decisions

__all__ = ["describe"]

_PARTS = ("model", "loss", "optimizer", "scheduler", "mixing", "augment", "preprocess")
_KEYS = ("max_epochs", "max_steps", "precision")  # of the trainer


def describe(network: nn.Module, preprocess: Preprocess, info: CheckpointInfo, *, name: str, sha256: str) -> BundleInfo:
    """Return the description of a bundle of this checkpoint; `name` and `sha256` are of the checkpoint's file.

    A bundle decodes images in full (`preprocess.decode=full`): partial decoding needs torch.
    """
    task: Task = "multilabel" if info.task == "multilabel" else "single"
    normalize = getattr(network, "normalize", None)
    return BundleInfo(
        class_names=list(info.class_names),
        task=task,
        preprocess=replace(preprocess, decode="full"),
        decisions=_decisions(info, task),
        mean=None if normalize is None else _numbers(normalize.mean),
        std=None if normalize is None else _numbers(normalize.std),
        training={
            "checkpoint": name,
            "checkpoint_sha256": sha256,
            "data_fingerprint": info.data_fingerprint,
            "seed": info.seed,
            "batch_size": info.batch_size,
            "imgrec": info.version,
            "exported_by": __version__,
            "config": _summary(info.config),
        },
    )


def _decisions(info: CheckpointInfo, task: Task) -> Decisions:
    """Return the decisions of the checkpoint, or temperature 1 and no rules."""
    stored = info.extra.get("decisions")
    return Decisions(task, tuple(info.class_names)) if stored is None else Decisions.from_dict(stored)


def _numbers(tensor: Any) -> list[float]:
    return [round(float(value), 7) for value in tensor]


def _summary(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of a configuration that describe the training, without paths."""
    summary = {key: _without_places(config[key]) for key in _PARTS if config.get(key)}
    trainer = config.get("trainer") or {}
    return {**summary, "trainer": {key: trainer[key] for key in _KEYS if key in trainer}}


def _without_places(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _without_places(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_places(inner) for inner in value]
    if isinstance(value, str) and ("/" in value or "\\" in value):
        return PurePath(value.replace("\\", "/")).name
    return value
