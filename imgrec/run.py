"""The two jobs from a configuration to a result: train, and evaluate. train.py and evaluate.py call them."""

import json
import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from pytorch_lightning import Trainer, seed_everything

from imgrec import __version__
from imgrec.callbacks.checkpoints import Checkpoints
from imgrec.checkpoint import CheckpointInfo, load_checkpoint
from imgrec.classifier import Classifier, Scorer
from imgrec.config import build, build_all, build_from_checkpoint, check_sweep_of_several_processes, to_plain
from imgrec.data.datamodule import ImageDataModule
from imgrec.durable import write_text
from imgrec.errors import ConfigError
from imgrec.predict import predict
from imgrec.report.console import print_scores
from imgrec.report.evaluation import write_evaluation
from imgrec.report.predictions import Predictions
from imgrec.report.tensorboard import log_evaluation
from imgrec.resume import find_checkpoint
from imgrec.run_folder import claim_run_folder

log = logging.getLogger("imgrec")


def train(config: DictConfig) -> dict[str, Any]:
    """Train, then score the best checkpoint; return the contents of `result.json`.

    Everything lands in `config.run_dir`: checkpoints, history, TensorBoard files, and the folder `evaluation`.
    """
    folder = Path(config.run_dir)
    with _claim(folder):
        seed_everything(config.seed, verbose=False)
        data = read_data(config)
        classifier: Classifier = build(
            config.classifier, class_names=data.splits.class_names, multilabel=data.splits.task == "multilabel"
        )
        trainer: Trainer = build(
            config.trainer, callbacks=build_all(config.callbacks), logger=build(config.logger) or False,
            default_root_dir=str(folder),
        )  # fmt: skip
        check_sweep_of_several_processes(trainer.world_size)
        classifier.record = make_record(config, data, world_size=trainer.world_size)
        start = find_checkpoint(
            folder, resume=config.resume, record=classifier.record, allow_changed=config.resume_allow_changed
        )
        if trainer.logger is not None and start is not None:
            _purge(trainer, step=load_checkpoint(start)["global_step"])
        trainer.fit(classifier, datamodule=data, ckpt_path=start)
        return _finish(config, folder, trainer=trainer, classifier=classifier, data=data)


def evaluate(config: DictConfig) -> dict[str, Any]:
    """Score a checkpoint, or a model with a weights file, on a split of a data set; return the metrics."""
    folder = Path(config.run_dir)
    with _claim(folder):
        data, net, source = _from_checkpoint(config) if config.checkpoint else _from_weights(config)
        data.test_split = data.fall_back_split(config.split)
        trainer = build(config.trainer, logger=False, enable_checkpointing=False, default_root_dir=str(folder))
        predictions = predict(trainer, Scorer(net), data=data, provenance={**source, "imgrec": __version__})
        return _write(predictions, folder, trainer=trainer)


def read_data(config: DictConfig) -> ImageDataModule:
    """Read the data of a configuration, and write what was found into it for the parts that depend on it."""
    data: ImageDataModule = build(config.data)
    splits = data.splits
    for note in splits.notes:
        log.warning(note)
    config.data.num_classes = len(splits.class_names)
    if splits.train is not None:
        config.data.class_counts = class_counts(splits.train.labels, len(splits.class_names))
        config.data.num_samples = len(splits.train)
    return data


def class_counts(labels: Any, num_classes: int) -> list[int]:
    """Return the pictures per class, from labels (N,) or (N, C)."""
    counts = labels.sum(axis=0) if labels.ndim == 2 else torch.bincount(torch.from_numpy(labels), minlength=num_classes)
    return [int(count) for count in counts]


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
    ).to_record()


def _finish(
    config: DictConfig, folder: Path, *, trainer: Trainer, classifier: Classifier, data: ImageDataModule
) -> dict[str, Any]:
    """Score the best checkpoint on the test split (validation where there is none) and write the result."""
    checkpoints = next(one for one in _callbacks(trainer) if isinstance(one, Checkpoints))
    best = load_checkpoint(checkpoints.best)
    classifier.load_state_dict(best["state_dict"])
    data.test_split = data.fall_back_split("test")
    source = {"checkpoint": str(checkpoints.best), "imgrec": __version__}
    predictions = predict(trainer, classifier, data=data, provenance=source)
    metrics = _write(predictions, folder / "evaluation", trainer=trainer)
    result = {
        "score": checkpoints.best_score,
        "monitor": checkpoints.monitor,
        "mode": checkpoints.mode,
        "epoch": checkpoints.best_epoch,
        "split": data.test_split,
        "metrics": headline(metrics),
        "checkpoint": str(checkpoints.best),
    }
    if trainer.is_global_zero:
        if trainer.logger is not None:
            log_evaluation(trainer.logger, predictions, config=to_plain(config), result=result)
        write_text(folder / "result.json", json.dumps(result, indent=1))
        log.info(
            "Run folder: %s (best.ckpt, evaluation/, history.csv). TensorBoard: tensorboard --logdir %s", folder, folder
        )
    return result


def _callbacks(trainer: Any) -> list[Any]:
    """Lightning sets the attribute where a type checker does not see it."""
    return list(trainer.callbacks)


def headline(metrics: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the scalar scores of `metrics.json`, averages named like precision_macro."""
    flat: dict[str, float | None] = {}
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}_{average}": number for average, number in value.items() if _is_number(number)}
        elif _is_number(value):
            flat[name] = value
    return flat


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _write(predictions: Predictions, folder: Path, *, trainer: Trainer) -> dict[str, Any]:
    if not trainer.is_global_zero:
        return {}
    metrics = write_evaluation(predictions, folder)
    print_scores(metrics)
    log.info("Evaluation: %s (metrics.json, per_class.csv, predictions.parquet, pictures)", folder)
    return metrics


def _from_checkpoint(config: DictConfig) -> tuple[ImageDataModule, torch.nn.Module, dict[str, str]]:
    """Build the network and the data that a checkpoint describes, with the user's changes on top."""
    payload = load_checkpoint(Path(config.checkpoint))
    info = CheckpointInfo.from_checkpoint(payload, name=str(config.checkpoint))
    saved = info.config
    net = build_from_checkpoint(saved["model"], config.get("model"), key="model", weights=None)
    net.load_state_dict({k.removeprefix("net."): v for k, v in payload["state_dict"].items() if k.startswith("net.")})
    preprocess = build_from_checkpoint(saved["preprocess"], config.get("preprocess"), key="preprocess")
    data = build_from_checkpoint(
        saved["data"], config.get("data"), key="data", preprocess=preprocess, augment=None, num_classes=None
    )
    data.given_class_names = list(info.class_names)
    for note in data.splits.notes:
        log.warning(note)
    return data, net, {"checkpoint": str(config.checkpoint)}


def _from_weights(config: DictConfig) -> tuple[ImageDataModule, torch.nn.Module, dict[str, str]]:
    """Build the network and the data that the command line names; the classes are those of the data."""
    if not config.get("model") or "_target_" not in config.model:
        raise ConfigError("Nothing to evaluate. Give checkpoint=PATH, or model=NAME model.weights=FILE data=NAME ...")
    if not config.get("data") or "_target_" not in config.data:
        raise ConfigError("Which data? Add data=folder data.test=FOLDER, or another data source.")
    if not config.model.get("weights"):
        raise ConfigError("A network without weights knows nothing. Add model.weights=FILE, or give checkpoint=PATH.")
    data = read_data(config)
    net = build(config.model)
    log.warning("Class names come from the data, in the order of the network's outputs: check that they fit.")
    return data, net, {"weights": str(config.model.weights)}


def _claim(folder: Path) -> AbstractContextManager[Any]:
    """Lock the folder; the other processes of a distributed run share it with the first."""
    is_first = int(os.environ.get("LOCAL_RANK", 0)) == 0 and int(os.environ.get("NODE_RANK", 0)) == 0
    return claim_run_folder(folder) if is_first else nullcontext()


def _purge(trainer: Trainer, *, step: int) -> None:
    """Tell TensorBoard to hide the points that the killed run wrote after its last checkpoint."""
    for logger in trainer.loggers:
        kwargs = getattr(logger, "_kwargs", None)
        if isinstance(kwargs, dict):
            kwargs["purge_step"] = step + 1


__all__: Sequence[str] = ["evaluate", "train"]
