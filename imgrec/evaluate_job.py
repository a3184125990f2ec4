"""Evaluation: a checkpoint, or a model with a weights file, on a split of a data set. `evaluate.py` runs it."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig
from pytorch_lightning import Trainer
from torch import nn
from torchmetrics import Metric

from imgrec import __version__
from imgrec.core.checkpoint.checkpoint import load_checkpoint
from imgrec.core.config.build import build, is_overridden, to_plain
from imgrec.core.config.compose import compose_config
from imgrec.core.files.run_folder import claim_on_first_rank
from imgrec.core.system.process_state import kept_process_state
from imgrec.core.text import listed
from imgrec.data.images.preprocess import Preprocess
from imgrec.data.loading.datamodule import ImageDataModule
from imgrec.errors import ConfigError
from imgrec.evaluation.decisions import Decisions
from imgrec.evaluation.evaluate_split import split_or_val, write_evaluation
from imgrec.evaluation.evaluation import Evaluation
from imgrec.evaluation.fit_on_split import check_plan, decide, hold_out, read_decisions, undecided
from imgrec.evaluation.predictions.predictions import Predictions
from imgrec.evaluation.predictions.scorer import Scorer
from imgrec.evaluation.provenance import Recorder
from imgrec.evaluation.report.report import write_report
from imgrec.evaluation.restore import from_checkpoint
from imgrec.evaluation.result import Result, of_evaluation, write_result
from imgrec.studies.study import STUDIES, Subject, check_studies, run_studies
from imgrec.training import preflight
from imgrec.training.callbacks.progress import ProgressLine
from imgrec.training.library_errors import explained
from imgrec.training.setup import check_network, read_data
from imgrec.training.trainer import build_trainer

if TYPE_CHECKING:
    pass

__all__ = ["Scored", "conclude", "evaluate", "run_evaluation"]

log = logging.getLogger("imgrec")


@dataclass(frozen=True)
class Scored:
    """A network with the predictions and decisions for one split.

    Attributes:
        network: What was run; on the device of the trainer.
        data: The data module, and `split` the name of the split that was run.
        predictions: For every sample of the split, in its order.
        decisions: Temperature and rules.
        source: What was evaluated: `{"checkpoint": path}` or `{"weights": path}`.
        config: Of this job, as plain data.
        trained_with: Configuration of the run that made the checkpoint, where it is another one.
    """

    network: nn.Module
    data: ImageDataModule
    split: str
    predictions: Predictions
    decisions: Decisions
    source: Mapping[str, str]
    config: Mapping[str, Any] = field(repr=False)
    trained_with: Mapping[str, Any] | None = field(default=None, repr=False)
    more_metrics: Mapping[str, Metric] = field(default_factory=dict)


def evaluate(
    *overrides: str, metrics: Mapping[str, Metric] = MappingProxyType({}), model: nn.Module | None = None
) -> "Evaluation":
    """Evaluate a checkpoint, or a model with weights, on any data; the same as `python evaluate.py OVERRIDES`.

    Args:
        *overrides: As on the command line: `"checkpoint=best.ckpt"`, `"data=folder"`, `"data.test=photos"`.
        metrics: More metrics by name. Each is updated once with the calibrated probabilities float64 (N, C) and the
            labels int64 (N,) (0/1 (N, C) with several labels), and lands in `Evaluation.metrics` and metrics.json.
        model: For a checkpoint whose network was an object from Python: an equal one, which gets the weights.

    Returns:
        The evaluation: `metrics`, `predictions`, `confusion_matrix()`, `plot(name)`, `report`.

    Raises:
        ConfigError: An override that is not valid, or a metric whose name is taken.
        ImgrecError: As the command line would say.
    """
    if not isinstance(metrics, Mapping) or not all(isinstance(metric, Metric) for metric in metrics.values()):
        raise ConfigError('metrics is a dict of torchmetrics metrics by name: {"auroc": MulticlassAUROC(10)}.')
    with kept_process_state(), compose_config("evaluate", overrides) as config:
        folder = unused_folder(config)
        run_evaluation(config, network=model, more_metrics=metrics)
    return Evaluation(folder)


def unused_folder(config: DictConfig) -> Path:
    """Give the job a folder of its own where none was asked for: two calls may come in one second."""
    folder, number = Path(config.run_dir), 1
    while not is_overridden("run_dir") and folder.exists():
        folder, number = Path(f"{config.run_dir}-{number}"), number + 1
    config.run_dir = str(folder)
    return folder


def run_evaluation(
    config: DictConfig,
    *,
    network: nn.Module | None = None,
    more_metrics: Mapping[str, Metric] = MappingProxyType({}),
) -> dict[str, Any]:
    """Evaluate as `config` (conf/evaluate.yaml) says, and write everything into `config.run_dir`.

    Args:
        config: Composed from conf/evaluate.yaml.
        network: `model` of `evaluate`.
        more_metrics: `metrics` of `evaluate`.

    Returns:
        The contents of `metrics.json`; `{}` in all processes but the first.
    """
    folder = Path(config.run_dir)
    preflight.check_config(config)
    with claim_on_first_rank(folder):
        recorder = Recorder("evaluate")
        studies = {name: build(config[name]) for name in STUDIES if config.get(name)}
        plan = build(config.get("decisions"))
        trainer = build_trainer(config, logger=False, callbacks=[ProgressLine()])
        subject = _from_checkpoint(config, network) if config.checkpoint else _from_weights(config)
        data, config = subject.data, subject.config
        check_network(subject.network, data.preprocess)
        split = split_or_val(data, str(config.split))
        check_plan(plan, data, training=False)
        check_studies(studies, data)
        if plan and plan.holdout:
            hold_out(data, split, fraction=plan.holdout, seed=config.seed)
        with explained(config, folder), recorder.phase("predict"):
            decisions, predictions = decide(
                plan or subject.decisions(),
                trainer,
                Scorer(subject.network),
                data=data,
                split=split,
                provenance={**subject.source, "imgrec": __version__},
            )
        scored = Scored(
            subject.network,
            data,
            split,
            predictions,
            decisions,
            subject.source,
            config=to_plain(config, resolve=False),
            trained_with=subject.trained_with,
            more_metrics=more_metrics,
        )

        def run_all(_: Result) -> None:
            device = trainer.strategy.root_device
            with recorder.phase("studies"):
                run_studies(
                    studies, Subject(subject.network.eval().to(device), data, split, predictions, folder, device)
                )

        def result_of(metrics: Mapping[str, Any]) -> Result:
            return of_evaluation(metrics, split=split, source=next(iter(subject.source.values())))

        return conclude(scored, folder, trainer=trainer, recorder=recorder, result_of=result_of, then=run_all)


def conclude(
    scored: Scored,
    folder: Path,
    *,
    trainer: Trainer,
    recorder: Recorder,
    result_of: Callable[[Mapping[str, Any]], Result],
    then: Callable[[Result], None],
    result_folder: Path | None = None,
) -> dict[str, Any]:
    """Write an evaluation: metrics, figures, result, provenance and report. Training and evaluation end here.

    Args:
        scored: What was evaluated.
        folder: Of the evaluation.
        trainer: Only its first process writes.
        recorder: Of the job; its phases go into `provenance.json`.
        result_of: Makes the contents of `result.json` from the metrics.
        then: Called with the result before the report is built: studies, log to TensorBoard.
        result_folder: Where `result.json` goes; None for `folder`.

    Returns:
        The metrics; `{}` in all processes but the first.
    """
    if not trainer.is_global_zero:
        return {}
    with write_evaluation(
        scored.predictions,
        scored.decisions,
        folder,
        data=scored.data,
        split=scored.split,
        recorder=recorder,
        more_metrics=scored.more_metrics,
    ) as metrics:
        result = result_of(metrics)
        then(result)
        write_result(result, result_folder or folder)
        recorder.write(
            folder,
            config=scored.config,
            data=scored.data,
            split=scored.split,
            network=scored.network,
            source=scored.source,
            trained_with=scored.trained_with,
        )
        log.info("Report: %s", write_report(folder))
    return metrics


@dataclass(frozen=True)
class _Subject:
    """What a configuration asks to evaluate; `decisions` gives those that came with it, or says that there are none."""

    config: DictConfig
    data: ImageDataModule
    network: nn.Module
    source: Mapping[str, str]
    decisions: Callable[[], Decisions]
    trained_with: Mapping[str, Any] | None = None


def _from_checkpoint(config: DictConfig, network: nn.Module | None) -> _Subject:
    payload, name = load_checkpoint(Path(config.checkpoint)), str(config.checkpoint)
    config, data, network = from_checkpoint(payload, config, network=network)
    return _Subject(
        config,
        data,
        network,
        source={"checkpoint": name},
        decisions=lambda: read_decisions(payload, name=name),
        trained_with=payload["imgrec"]["config"],
    )


def _from_weights(config: DictConfig) -> _Subject:
    """Build the data and the network that the command line names; the classes are those of the data.

    Raises:
        ConfigError: Something is not named, or the weights have no head for these classes.
    """
    _check_named(config)
    preprocess = build(config.preprocess) if config.get("preprocess") else Preprocess(size=224)
    config, data = read_data(config, preprocess=preprocess, augment=None)
    for name in ("preprocess", "augment"):  # data refer to these groups, which evaluation does not choose by default
        if not config.get(name):
            config.data[name] = None
    network = build(config.model)
    names = data.splits.class_names
    if network.loaded is not None and network.loaded.head_is_fresh:
        raise ConfigError(
            f"The data has {len(names)} classes, and {config.model.weights} has no head for so many. "
            "Evaluate on data of the classes that the weights were trained for, or train first."
        )
    log.warning("Classes are taken from the data, in its order: %s.", listed(names))
    log.info("%s (another: preprocess=NAME)", preprocess)
    return _Subject(
        config,
        data,
        network,
        source={"weights": str(config.model.weights)},
        decisions=lambda: undecided(data, "Weights carry no temperature: decisions=holdout fits one."),
    )


def _check_named(config: DictConfig) -> None:
    if not config.get("model") or "_target_" not in config.model:
        raise ConfigError("Nothing to evaluate. Give checkpoint=PATH, or model=NAME model.weights=FILE data=NAME ...")
    if not config.get("data") or "_target_" not in config.data:
        raise ConfigError("Which data? Add data=folder data.test=FOLDER, or another data source.")
    if not config.model.get("weights"):
        raise ConfigError("A model without weights is untrained. Add model.weights=FILE, or give checkpoint=PATH.")
