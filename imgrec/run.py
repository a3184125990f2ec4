"""The two jobs from a configuration to a result: train, and evaluate. train.py and evaluate.py call them."""

import logging
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig
from pytorch_lightning import Callback, Trainer, seed_everything
from torch import nn

from imgrec import __version__, preflight
from imgrec.callbacks.checkpoints import Checkpoints
from imgrec.callbacks.progress import ProgressLine
from imgrec.checkpoint import load_checkpoint
from imgrec.checks import check_choice
from imgrec.classifier import Classifier, Scorer
from imgrec.config import build, build_all, check_sweep_of_several_processes, to_plain
from imgrec.data.datamodule import ImageDataModule
from imgrec.data.samples import SPLITS
from imgrec.deciding import check_plan, decide, hold_out, read_decisions, store_decisions, undecided
from imgrec.decisions import Decisions, Plan
from imgrec.durable import FULL, check_free_space
from imgrec.errors import ConfigError, DataError, ImgrecError, RunFolderError
from imgrec.inputs import check_network, check_task, from_checkpoint, from_weights, load_exactly, make_record, read_data
from imgrec.provenance import Recorder
from imgrec.report.console import print_scores
from imgrec.report.decided import describe, write_decided
from imgrec.report.evaluation import write_evaluation
from imgrec.report.page.report import write_report
from imgrec.report.predictions import Predictions
from imgrec.result import Result, headline, of_evaluation, write_result
from imgrec.resume import Start, announce, find_start, set_aside
from imgrec.run_folder import claim_run_folder
from imgrec.study import STUDIES, Subject, run_studies
from imgrec.thumbnails import write_thumbnails

__all__ = ["evaluate", "train"]

log = logging.getLogger("imgrec")

COPIES = 6  # of the weights on the disk: two checkpoints, each with the optimizer's two moments


def train(config: DictConfig) -> Result:
    """Train, then score the best checkpoint; return the contents of `result.json`.

    Everything lands in `config.run_dir`: checkpoints, history, TensorBoard files, and the folder `evaluation`.
    """
    folder = Path(config.run_dir)
    with _claim(folder):
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
        with _explained(config, folder):
            with recorder.phase("train"):
                trainer.fit(classifier, datamodule=data, ckpt_path=start.path if start else None)
            return _finish(
                config,
                folder,
                trainer=trainer,
                classifier=classifier,
                data=data,
                plan=plan,
                start=start,
                recorder=recorder,
            )


def evaluate(config: DictConfig) -> dict[str, Any]:
    """Score a checkpoint, or a model with a weights file, on a split of a data set; return the metrics."""
    folder = Path(config.run_dir)
    with _claim(folder):
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
        data.test_split = _split_or_val(data, str(config.split))
        check_plan(plan, data, training=False)
        if plan and plan.holdout:
            hold_out(data, fraction=plan.holdout, seed=config.seed)
        provenance = {**source, "imgrec": __version__}
        with _explained(config, folder), recorder.phase("predict"):
            decisions, predictions = decide(stored or plan, trainer, Scorer(network), data=data, provenance=provenance)
        with recorder.phase("evaluation"):
            metrics = _write(predictions, decisions, folder, data=data, trainer=trainer)
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


@contextmanager
def _explained(config: DictConfig, folder: Path) -> Iterator[None]:
    """Say what to do about what goes wrong inside Lightning and PyTorch and is the user's to mend."""
    try:
        yield
    except MisconfigurationException as error:
        raise ConfigError(" ".join(str(error).split())) from error
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise RunFolderError(
            f"Cannot write to {folder}: {FULL[error.errno]}. Its checkpoints are whole: free some space, then the same "
            f"command with run_dir={folder} goes on."
        ) from error
    except torch.OutOfMemoryError as error:
        raise ConfigError(
            f"The GPU's memory is full with data.batch_size={config.data.get('batch_size')}. Lower it (half of it with "
            "trainer.accumulate_grad_batches=2 learns alike), or take a smaller model or preprocess.size."
        ) from error
    except RuntimeError as error:
        if "onnection closed by peer" in str(error) or "onnection reset by peer" in str(error):
            raise ImgrecError(f"Another process of this run has ended; {folder}/error.log says why.") from error
        if str(error).startswith("DataLoader timed out"):
            raise DataError(
                f"No batch came for data.timeout_s={config.data.timeout_s:g} s: a loader process hangs, most often on "
                "a file that a network drive does not deliver. Mend that, or set data.timeout_s higher."
            ) from error
        if not str(error).startswith("DataLoader worker"):
            raise
        raise DataError(
            "A loader process was killed, most often for want of memory, or of shared memory in a container "
            "(docker --shm-size=8g). Set data.num_workers to fewer, or to 0."
        ) from error


def _finish(
    config: DictConfig,
    folder: Path,
    *,
    trainer: Any,
    classifier: Classifier,
    data: ImageDataModule,
    plan: Plan | None,
    start: Start | None,
    recorder: Recorder,
) -> Result:
    """Decide for the best checkpoint, score it on the test split (validation where there is none), write it all."""
    checkpoints = next(callback for callback in trainer.callbacks if isinstance(callback, Checkpoints))
    # A run that goes on from another folder and finds nothing left to train has no best checkpoint of its own.
    best = start.path if start is not None and not checkpoints.best.exists() else checkpoints.best
    load_exactly(classifier, load_checkpoint(best)["state_dict"], name=str(best))
    data.test_split = _split_or_val(data, "test")
    source = {"checkpoint": str(best)}
    wanted = plan or undecided(data, "Temperature 1 and no rules: none were asked for.")
    provenance = {**source, "imgrec": __version__}
    with recorder.phase("predict"):
        decisions, predictions = decide(wanted, trainer, classifier, data=data, provenance=provenance)
    if trainer.is_global_zero and best == checkpoints.best:
        store_decisions(decisions, best)
    with recorder.phase("evaluation"):
        metrics = _write(predictions, decisions, folder / "evaluation", data=data, trainer=trainer)
    result = Result(
        score=checkpoints.best_score,
        monitor=checkpoints.monitor,
        mode=checkpoints.mode,
        epoch=checkpoints.best_epoch,
        split=data.test_split,
        metrics=headline(metrics),
        checkpoint=str(best),
    )
    if trainer.is_global_zero:
        _log(trainer, predictions, config=config, result=result, folder=folder / "evaluation")
        _embed(trainer, classifier.net, data, predictions)
        write_result(result, folder)
        recorder.write(folder / "evaluation", config=to_plain(config), data=data, network=classifier.net, source=source)
        log.info("Report: %s", write_report(folder / "evaluation"))
        log.info("Run folder: %s (best.ckpt, last.ckpt, history.csv, evaluation/)", folder)
        if trainer.loggers:
            log.info("Look inside: tensorboard --logdir %s", folder)
    return result


def _log(trainer: Trainer, predictions: Predictions, *, config: DictConfig, result: Result, folder: Path) -> None:
    from imgrec.report.tensorboard import log_evaluation

    for logger in trainer.loggers:
        log_evaluation(logger, predictions, config=to_plain(config), result=result, folder=folder)


def _embed(trainer: Trainer, network: nn.Module, data: ImageDataModule, predictions: Predictions) -> None:
    """Give TensorBoard's projector some of the scored pictures, where TensorBoard is used."""
    from pytorch_lightning.loggers import TensorBoardLogger

    from imgrec.embedding import write_embedding
    from imgrec.report.tensorboard import part_of

    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            tag = f"{part_of(data.test_split)}/features"
            write_embedding(network, data, predictions, Path(logger.log_dir), tag=tag)


def _write(
    predictions: Predictions, decisions: Decisions, folder: Path, *, data: ImageDataModule, trainer: Trainer
) -> dict[str, Any]:
    if not trainer.is_global_zero:
        return {}
    metrics = write_evaluation(predictions, folder)
    write_thumbnails(predictions, data.split(data.test_split), folder)
    print_scores(metrics)
    for line in describe(write_decided(predictions, decisions, folder, split=data.test_split)):
        log.info(line)
    log.info("Evaluation: %s (metrics.json, decisions.json, predictions.parquet, pictures and more)", folder)
    return metrics


def _split_or_val(data: ImageDataModule, name: str) -> str:
    """Return the name of the split to score: the one asked for, or validation where the data has no test split."""
    check_choice("split", name, SPLITS)
    if name != "test" or data.has_split("test") or not data.has_split("val"):
        data.split(name)  # raises DataError where there is none
        return name
    log.warning("The data has no test split: the scores are on validation, by which the best checkpoint was chosen.")
    return "val"


def _claim(folder: Path) -> AbstractContextManager[Any]:
    """Lock the folder; the other processes of a distributed run share it with the first."""
    ranks = [os.environ.get(name, "0") for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")]
    is_first = set(ranks) == {"0"}
    return claim_run_folder(folder) if is_first else nullcontext()
