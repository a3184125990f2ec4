"""Training: a configuration to a trained, evaluated classifier in a run folder. `train.py` runs it."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig
from pytorch_lightning import Trainer, seed_everything
from pytorch_lightning.loggers import TensorBoardLogger
from torch import nn

from imgrec import __version__
from imgrec.core.checkpoint.checkpoint import load_checkpoint
from imgrec.core.config.build import build, build_all, check_sweep_of_several_processes, to_plain
from imgrec.core.config.compose import compose_config
from imgrec.core.files.atomic_write import check_free_space
from imgrec.core.files.json_file import read_json
from imgrec.core.files.run_folder import claim_on_first_rank
from imgrec.core.system.process_state import kept_process_state
from imgrec.data.loading.datamodule import ImageDataModule
from imgrec.evaluate_job import Scored, conclude, unused_folder
from imgrec.evaluation.decisions.plan import Plan
from imgrec.evaluation.evaluate_split import split_or_val
from imgrec.evaluation.evaluation import Evaluation
from imgrec.evaluation.fit_on_split import check_plan, decide, store_decisions, undecided
from imgrec.evaluation.provenance import Recorder
from imgrec.evaluation.restore import OBJECT_KEY, load_exactly
from imgrec.evaluation.result import Result, headline
from imgrec.training import preflight
from imgrec.training.callbacks.checkpoints import Checkpoints
from imgrec.training.classifier import Classifier
from imgrec.training.library_errors import explained
from imgrec.training.object_checks import PARTS, prepared_objects, try_objects
from imgrec.training.resume import Start, announce, find_start, set_aside
from imgrec.training.setup import check_network, make_record, read_data
from imgrec.training.trainer import build_trainer

if TYPE_CHECKING:
    from imgrec.model import Model

__all__ = ["TrainingRun", "run_training", "train"]

log = logging.getLogger("imgrec")

COPIES = 6  # of the weights on the disk: two checkpoints, each with the optimizer's two moments


def train(*overrides: str, **objects: Any) -> "TrainingRun":
    """Train a classifier, and evaluate it; the same as `python train.py OVERRIDES`.

    Args:
        *overrides: As on the command line: `"data=folder"`, `"data.root=photos"`, `"model=resnet18"`.
        **objects: An object in place of a group: `model` (an `nn.Module`: uint8 images (N, 3, H, W) to logits (N, C)),
            `loss`, `metrics` (a `MetricCollection`, or metrics by name), `optimizer` (a class of
            `torch.optim`, or a function of the network),
            `scheduler`, `mixing`, `data` (an `ImageDataModule`), `logger`; `callbacks` come on top of the usual ones.

    Returns:
        The run: `metrics`, `model`, `folder`, `report`.

    Raises:
        ConfigError: An override or object that is not valid.
        DataError: The data cannot be used.
        ImgrecError: As the command line would say.
    """
    objects = prepared_objects(objects)
    with kept_process_state(), compose_config("train", overrides) as config:
        folder = unused_folder(config)
        run_training(config, objects)
    return TrainingRun(folder, network=objects.get("model"))


@dataclass(frozen=True)
class TrainingRun:
    """What a training left in its run folder.

    Attributes:
        folder: The run folder: best.ckpt, last.ckpt, history.csv, result.json, evaluation/.
        network: The network that was handed over as an object, trained; None where the configuration built it.
    """

    folder: Path
    network: "nn.Module | None" = field(default=None, repr=False)

    @property
    def result(self) -> dict[str, Any]:
        """The contents of `result.json`: best score, monitor, epoch, metrics."""
        return read_json(self.folder / "result.json")

    @property
    def evaluation(self) -> Evaluation:
        """The evaluation of the best checkpoint."""
        return Evaluation(self.folder / "evaluation")

    @property
    def metrics(self) -> dict[str, Any]:
        """The metrics of the best checkpoint on the test split (validation where there is none)."""
        return self.evaluation.metrics

    @property
    def checkpoint(self) -> Path:
        """The best checkpoint."""
        return self.folder / "best.ckpt"

    @property
    def report(self) -> Path:
        """The page of the evaluation."""
        return self.evaluation.report

    @cached_property
    def model(self) -> "Model":
        """The best checkpoint, loaded."""
        from imgrec.model import load

        return load(self.checkpoint, model=self.network)

    def _repr_html_(self) -> str:
        return f"<p>Run folder: <code>{escape(str(self.folder))}</code></p>{self.evaluation._repr_html_()}"


def name_objects(config: DictConfig, objects: Mapping[str, Any]) -> DictConfig:
    """Return the configuration with a note in place of each group that an object replaces."""
    config = config.copy()
    for name in objects.keys() & (PARTS.keys() | {"data"}):
        kind = (
            objects[name] if callable(objects[name]) and hasattr(objects[name], "__qualname__") else type(objects[name])
        )
        note = {OBJECT_KEY: f"{kind.__module__}.{kind.__qualname__}"}
        config[name] = (
            note if name != "data" else {**note, "num_classes": None, "num_samples": None, "class_counts": None}
        )
    return config


def run_training(config: DictConfig, objects: Mapping[str, Any] = MappingProxyType({})) -> Result:
    """Train as `config` (conf/train.yaml) says, then evaluate the best checkpoint.

    Everything is written into `config.run_dir`: checkpoints, history, TensorBoard files, and the folder `evaluation`.

    Args:
        config: Composed from conf/train.yaml.
        objects: By name of a group: an object to use in its place; see `train`.

    Returns:
        The contents of `result.json`.
    """
    folder = Path(config.run_dir)
    preflight.check_config(config)
    with claim_on_first_rank(folder):
        recorder = Recorder("train")
        seed_everything(config.seed, verbose=False)
        callbacks = [*build_all(config.get("callbacks")), *objects.get("callbacks", ())]
        trainer = build_trainer(
            config, logger=objects.get("logger") or build(config.get("logger")) or False, callbacks=callbacks
        )
        check_sweep_of_several_processes(trainer.world_size)
        config, data = read_data(name_objects(config, objects), data=objects.get("data"), report_to=folder)
        plan = build(config.get("decisions"))
        classifier = _build_classifier(config, data, objects)
        preflight.check_run(config, data, classifier, callbacks=callbacks)
        check_plan(plan, data, training=True)
        _check_space(folder, classifier)
        classifier.record = make_record(config, data, world_size=trainer.world_size)
        start = _find_start(config, folder, trainer=trainer, classifier=classifier)
        with explained(config, folder):
            with recorder.phase("train"):
                trainer.fit(classifier, datamodule=data, ckpt_path=start.path if start else None)
            return _evaluate_best(config, folder, trainer, classifier, data, plan=plan, start=start, recorder=recorder)


def _build_classifier(config: DictConfig, data: ImageDataModule, objects: Mapping[str, Any]) -> Classifier:
    given = {PARTS[name]: value for name, value in objects.items() if name in PARTS}
    classifier: Classifier = build(
        config.classifier,
        class_names=data.splits.class_names,
        multilabel=data.splits.task == "multilabel",
        **given,
    )
    check_network(classifier.net, data.preprocess)
    try_objects(objects, classifier, data)
    return classifier


def _check_space(folder: Path, classifier: Classifier) -> None:
    """Refuse a disk that has no room for the first checkpoints: an epoch later it would be known anyway."""
    if not any(folder.glob("*.ckpt")):
        weights = sum(tensor.numel() * tensor.element_size() for tensor in classifier.parameters())
        check_free_space(folder, COPIES * weights)


def _find_start(config: DictConfig, folder: Path, *, trainer: Trainer, classifier: Classifier) -> Start | None:
    start = find_start(
        folder,
        resume=config.resume,
        record=classifier.record,
        tensors=classifier.state_dict(),
        allow_changed=config.resume_allow_changed,
    )
    if start is not None:
        announce(start, max_epochs=trainer.max_epochs, max_steps=trainer.max_steps)
        _purge(trainer, start)
    if config.resume not in (None, "auto") and trainer.is_global_zero:
        set_aside(folder, start=start)
    return start


def _purge(trainer: Trainer, start: Start) -> None:
    """Tell TensorBoard to hide the points that the stopped run wrote after its last checkpoint."""
    for logger in trainer.loggers:
        options = getattr(logger, "_kwargs", None)
        if isinstance(options, dict):
            options["purge_step"] = start.step + 1


def _evaluate_best(
    config: DictConfig,
    folder: Path,
    trainer: Trainer,
    classifier: Classifier,
    data: ImageDataModule,
    *,
    plan: Plan | None,
    start: Start | None,
    recorder: Recorder,
) -> Result:
    """Fit decisions for the best checkpoint, and evaluate it on the test split (validation where there is none)."""
    checkpoints = next(callback for callback in trainer.callbacks if isinstance(callback, Checkpoints))  # type: ignore[attr-defined]
    # A run that resumes from another folder and has nothing left to train has no best checkpoint of its own.
    best = start.path if start is not None and not checkpoints.best.exists() else checkpoints.best
    payload = load_checkpoint(best)
    load_exactly(classifier, payload["state_dict"], name=str(best))
    split, source = split_or_val(data, "test"), {"checkpoint": str(best)}
    with recorder.phase("predict"):
        decisions, predictions = decide(
            plan or undecided(data, "Temperature 1 and no rules: none were asked for."),
            trainer,
            classifier,
            data=data,
            split=split,
            provenance={**source, "imgrec": __version__},
        )
    if trainer.is_global_zero and best == checkpoints.best:
        store_decisions(decisions, payload, path=best)
    del payload
    plain = to_plain(config)
    scored = Scored(classifier.net, data, split, predictions, decisions, source, config=plain)

    def result_of(metrics: Mapping[str, Any]) -> Result:
        return Result(
            score=checkpoints.best_score,
            monitor=checkpoints.monitor,
            mode=checkpoints.mode,
            epoch=checkpoints.best_epoch,
            split=split,
            metrics=headline(metrics),
            checkpoint=str(best),
        )

    def log_to_tensorboard(result: Result) -> None:
        for logger in trainer.loggers:
            _log(logger, scored, result=result, folder=folder / "evaluation")

    metrics = conclude(
        scored,
        folder / "evaluation",
        trainer=trainer,
        recorder=recorder,
        result_of=result_of,
        then=log_to_tensorboard,
        result_folder=folder,
    )
    if trainer.is_global_zero:
        log.info("Run folder: %s (best.ckpt, last.ckpt, history.csv, evaluation/)", folder)
        if trainer.loggers:
            log.info("TensorBoard: tensorboard --logdir %s", folder)
    return result_of(metrics)


def _log(logger: Any, scored: Scored, *, result: Result, folder: Path) -> None:
    """Write the evaluation to a logger; TensorBoard's projector gets some of the evaluated images."""
    from imgrec.evaluation.report.tensorboard.embedding import write_embedding
    from imgrec.evaluation.report.tensorboard.tensorboard import log_evaluation, tag_prefix

    log_evaluation(logger, scored.predictions, config=scored.config, result=result, folder=folder)
    if isinstance(logger, TensorBoardLogger):
        write_embedding(
            scored.network,
            scored.data,
            scored.split,
            scored.predictions,
            logger.experiment,
            tag=f"{tag_prefix(scored.split)}/features",
        )
