"""The two jobs from a configuration to a result: train, and evaluate. train.py and evaluate.py call them."""

import json
import logging
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from pytorch_lightning import Trainer, seed_everything

from imgrec import __version__
from imgrec.callbacks.checkpoints import Checkpoints
from imgrec.callbacks.progress import ProgressLine
from imgrec.checkpoint import load_checkpoint
from imgrec.classifier import Classifier, Scorer
from imgrec.config import build, build_all, check_sweep_of_several_processes, to_plain
from imgrec.data.datamodule import ImageDataModule
from imgrec.durable import write_text
from imgrec.inputs import check_network, check_task, from_checkpoint, from_weights, load_exactly, make_record, read_data
from imgrec.predict import predict
from imgrec.report.console import print_scores
from imgrec.report.evaluation import write_evaluation
from imgrec.report.predictions import Predictions
from imgrec.resume import find_checkpoint
from imgrec.run_folder import claim_run_folder

__all__ = ["evaluate", "train"]

log = logging.getLogger("imgrec")


def train(config: DictConfig) -> dict[str, Any]:
    """Train, then score the best checkpoint; return the contents of `result.json`.

    Everything lands in `config.run_dir`: checkpoints, history, TensorBoard files, and the folder `evaluation`.
    """
    folder = Path(config.run_dir)
    with _claim(folder):
        seed_everything(config.seed, verbose=False)
        data = read_data(config)
        check_task(config, data)
        classifier = _build_classifier(config, data)
        trainer = _build_trainer(config, logger=build(config.logger) or False, callbacks=build_all(config.callbacks))
        check_sweep_of_several_processes(trainer.world_size)
        classifier.record = make_record(config, data, world_size=trainer.world_size)
        start = find_checkpoint(
            folder, resume=config.resume, record=classifier.record, allow_changed=config.resume_allow_changed
        )
        _purge(trainer, start)
        trainer.fit(classifier, datamodule=data, ckpt_path=start)
        return _finish(config, folder, trainer=trainer, classifier=classifier, data=data)


def evaluate(config: DictConfig) -> dict[str, Any]:
    """Score a checkpoint, or a model with a weights file, on a split of a data set; return the metrics."""
    folder = Path(config.run_dir)
    with _claim(folder):
        if config.checkpoint:
            data, network = from_checkpoint(load_checkpoint(Path(config.checkpoint)), config)
            source = {"checkpoint": str(config.checkpoint)}
        else:
            data, network = from_weights(config)
            source = {"weights": str(config.model.weights)}
        check_network(network, data.preprocess)
        data.test_split = _split_or_val(data, config.split)
        trainer = _build_trainer(config, logger=False, callbacks=[ProgressLine()])
        predictions = predict(trainer, Scorer(network), data=data, provenance={**source, "imgrec": __version__})
        return _write(predictions, folder, trainer=trainer)


def _build_classifier(config: DictConfig, data: ImageDataModule) -> Classifier:
    is_multilabel = data.splits.task == "multilabel"
    classifier: Classifier = build(config.classifier, class_names=data.splits.class_names, multilabel=is_multilabel)
    check_network(classifier.net, data.preprocess)
    return classifier


def _build_trainer(config: DictConfig, *, logger: Any, callbacks: list[Any]) -> Trainer:
    trainer: Trainer = build(
        config.trainer, logger=logger, callbacks=callbacks, default_root_dir=str(config.run_dir)
    )  # fmt: skip
    return trainer


def _finish(
    config: DictConfig, folder: Path, *, trainer: Any, classifier: Classifier, data: ImageDataModule
) -> dict[str, Any]:
    """Score the best checkpoint on the test split (validation where there is none) and write the result."""
    checkpoints = next(callback for callback in trainer.callbacks if isinstance(callback, Checkpoints))
    load_exactly(classifier, load_checkpoint(checkpoints.best)["state_dict"], name=str(checkpoints.best))
    data.test_split = _split_or_val(data, "test")
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
        _log(trainer, predictions, config=config, result=result)
        write_text(folder / "result.json", json.dumps(result, indent=1))
        log.info("Run folder: %s (best.ckpt, last.ckpt, history.csv, evaluation/)", folder)
        log.info("Look inside: tensorboard --logdir %s", folder)
    return result


def _log(trainer: Trainer, predictions: Predictions, *, config: DictConfig, result: Mapping[str, Any]) -> None:
    from imgrec.report.tensorboard import log_evaluation

    for logger in trainer.loggers:
        log_evaluation(logger, predictions, config=to_plain(config), result=result)


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
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def _write(predictions: Predictions, folder: Path, *, trainer: Trainer) -> dict[str, Any]:
    if not trainer.is_global_zero:
        return {}
    metrics = write_evaluation(predictions, folder)
    print_scores(metrics)
    log.info("Evaluation: %s (metrics.json, per_class.csv, predictions.parquet, pictures)", folder)
    return metrics


def _split_or_val(data: ImageDataModule, name: str) -> str:
    """Return the name of the split to score: the one asked for, or validation where the data has no test split."""
    if name != "test" or data.has_split("test") or not data.has_split("val"):
        return name
    log.warning("The data has no test split: the scores are on validation, by which the best checkpoint was chosen.")
    return "val"


def _claim(folder: Path) -> AbstractContextManager[Any]:
    """Lock the folder; the other processes of a distributed run share it with the first."""
    is_first = int(os.environ.get("LOCAL_RANK", 0)) == 0 and int(os.environ.get("NODE_RANK", 0)) == 0
    return claim_run_folder(folder) if is_first else nullcontext()


def _purge(trainer: Trainer, start: Path | None) -> None:
    """Tell TensorBoard to hide the points that the stopped run wrote after its last checkpoint."""
    if start is None:
        return
    for logger in trainer.loggers:
        options = getattr(logger, "_kwargs", None)
        if isinstance(options, dict):
            options["purge_step"] = load_checkpoint(start)["global_step"] + 1
