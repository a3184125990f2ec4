"""The two jobs from a configuration to a result: train, and evaluate. train.py and evaluate.py call them."""

import logging
import os
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from pytorch_lightning import Callback, Trainer, seed_everything

from imgrec import __version__
from imgrec.core.checkpoint.checkpoint import load_checkpoint
from imgrec.core.config.build import build, build_all, check_sweep_of_several_processes, to_plain
from imgrec.core.files.atomic_write import check_free_space
from imgrec.core.files.run_folder import claim_run_folder
from imgrec.data.loading.datamodule import ImageDataModule
from imgrec.evaluation.decisions.fit_on_split import check_plan, decide, hold_out, read_decisions, undecided
from imgrec.evaluation.evaluate_split import split_or_val, write_scores
from imgrec.evaluation.provenance import Recorder
from imgrec.evaluation.report.report import write_report
from imgrec.evaluation.result import Result, of_evaluation, write_result
from imgrec.finish import finish
from imgrec.studies.study import STUDIES, Subject, check_studies, run_studies
from imgrec.training import preflight
from imgrec.training.callbacks.progress import ProgressLine
from imgrec.training.classifier import Classifier, Scorer
from imgrec.training.library_errors import explained
from imgrec.training.resume import Start, announce, find_start, set_aside
from imgrec.training.setup import check_network, check_task, from_checkpoint, from_weights, make_record, read_data

__all__ = ["evaluate", "train"]

log = logging.getLogger("imgrec")

COPIES = 6  # of the weights on the disk: two checkpoints, each with the optimizer's two moments


def train(config: DictConfig) -> Result:
    """Train, then score the best checkpoint; return the contents of `result.json`.

    Everything lands in `config.run_dir`: checkpoints, history, TensorBoard files, and the folder `evaluation`.
    """
    folder = Path(config.run_dir)
    with _claim(folder), ExitStack() as last:
        recorder = Recorder("train")
        preflight.check_keys(config)
        seed_everything(config.seed, verbose=False)
        callbacks = build_all(config.get("callbacks"))
        preflight.check_callbacks(callbacks)
        trainer = _build_trainer(config, logger=build(config.get("logger")) or False, callbacks=callbacks)
        check_sweep_of_several_processes(trainer.world_size)
        data = read_data(config, report_to=folder)
        preflight.check_splits(data)
        check_task(config, data)
        plan = build(config.get("decisions"))
        check_plan(plan, data, training=True)
        classifier = _build_classifier(config, data)
        preflight.check_monitors(config, callbacks, classifier.val_scores.scores)
        _check_space(folder, classifier)
        classifier.record = make_record(config, data, world_size=trainer.world_size)
        start = _find_start(config, folder, trainer=trainer, classifier=classifier)
        with explained(config, folder):
            with recorder.phase("train"):
                trainer.fit(classifier, datamodule=data, ckpt_path=start.path if start else None)
            return finish(
                to_plain(config),
                folder,
                trainer=trainer,
                classifier=classifier,
                data=data,
                plan=plan,
                start=start,
                recorder=recorder,
                last=last,
            )


def evaluate(config: DictConfig) -> dict[str, Any]:
    """Score a checkpoint, or a model with a weights file, on a split of a data set; return the metrics."""
    folder = Path(config.run_dir)
    with _claim(folder), ExitStack() as last:
        recorder = Recorder("evaluate")
        preflight.check_keys(config)
        studies = {name: build(config[name]) for name in STUDIES if config.get(name)}
        plan = build(config.get("decisions"))
        trainer = _build_trainer(config, logger=False, callbacks=[ProgressLine()])
        trained_with = None
        if config.checkpoint:
            payload = load_checkpoint(Path(config.checkpoint))
            data, network = from_checkpoint(payload, config)
            source, trained_with = {"checkpoint": str(config.checkpoint)}, payload["imgrec"]["config"]
            stored = None if plan else read_decisions(payload, name=str(config.checkpoint))
        else:
            data, network = from_weights(config)
            source = {"weights": str(config.model.weights)}
            stored = None if plan else undecided(data, "Weights carry no temperature: decisions=holdout fits one.")
        check_network(network, data.preprocess)
        data.test_split = split_or_val(data, str(config.split))
        check_plan(plan, data, training=False)
        check_studies(studies, data)
        if plan and plan.holdout:
            hold_out(data, fraction=plan.holdout, seed=config.seed)
        provenance = {**source, "imgrec": __version__}
        with explained(config, folder), recorder.phase("predict"):
            decisions, predictions = decide(stored or plan, trainer, Scorer(network), data=data, provenance=provenance)
        with recorder.phase("evaluation"):
            metrics = write_scores(predictions, decisions, folder, data=data, trainer=trainer, last=last)
        if trainer.is_global_zero:
            device = trainer.strategy.root_device
            with recorder.phase("studies"):
                run_studies(studies, Subject(network.eval().to(device), data, predictions, folder, device))
            write_result(of_evaluation(metrics, split=data.test_split, source=next(iter(source.values()))), folder)
            recorder.write(
                folder,
                config=to_plain(config, resolve=False),
                data=data,
                network=network,
                source=source,
                trained_with=trained_with,
            )
            log.info("Report: %s", write_report(folder))
        return metrics


def _build_classifier(config: DictConfig, data: ImageDataModule) -> Classifier:
    is_multilabel = data.splits.task == "multilabel"
    classifier: Classifier = build(config.classifier, class_names=data.splits.class_names, multilabel=is_multilabel)
    check_network(classifier.net, data.preprocess)
    return classifier


def _build_trainer(config: DictConfig, *, logger: Any, callbacks: list[Callback]) -> Trainer:
    trainer: Trainer = build(
        config.trainer, logger=logger, callbacks=callbacks, default_root_dir=str(config.run_dir)
    )  # fmt: skip
    preflight.check_trainer(trainer)
    if not trainer.is_global_zero:
        log.setLevel(logging.ERROR)  # the first process speaks for all
    return trainer


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


def _claim(folder: Path) -> AbstractContextManager[Any]:
    """Lock the folder; the other processes of a distributed run share it with the first."""
    ranks = [os.environ.get(name, "0") for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")]
    is_first = set(ranks) == {"0"}
    return claim_run_folder(folder) if is_first else nullcontext()
