"""The end of a training: the best checkpoint decided, scored, and written of."""

import logging
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pytorch_lightning import Trainer
from torch import nn

from imgrec import __version__
from imgrec.core.checkpoint.checkpoint import load_checkpoint
from imgrec.data.loading.datamodule import ImageDataModule
from imgrec.evaluation.decisions import Plan
from imgrec.evaluation.decisions.fit_on_split import decide, store_decisions, undecided
from imgrec.evaluation.evaluate_split import split_or_val, write_scores
from imgrec.evaluation.predictions.predictions import Predictions
from imgrec.evaluation.provenance import Recorder
from imgrec.evaluation.report.report import write_report
from imgrec.evaluation.result import Result, headline, write_result
from imgrec.training.callbacks.checkpoints import Checkpoints
from imgrec.training.classifier import Classifier
from imgrec.training.resume import Start
from imgrec.training.setup import load_exactly

__all__ = ["finish"]

log = logging.getLogger("imgrec")


def finish(
    config: Mapping[str, Any],
    folder: Path,
    *,
    trainer: Any,
    classifier: Classifier,
    data: ImageDataModule,
    plan: Plan | None,
    start: Start | None,
    recorder: Recorder,
    last: ExitStack,
) -> Result:
    """Decide for the best checkpoint, score it on the test split (validation where there is none), write it all.

    config: of the run, resolved. plan: what is to be decided; None = nothing. start: what the run went on from.
    last: as of `write_scores`.
    """
    checkpoints = next(callback for callback in trainer.callbacks if isinstance(callback, Checkpoints))
    # A run that goes on from another folder and finds nothing left to train has no best checkpoint of its own.
    best = start.path if start is not None and not checkpoints.best.exists() else checkpoints.best
    load_exactly(classifier, load_checkpoint(best)["state_dict"], name=str(best))
    data.test_split = split_or_val(data, "test")
    source = {"checkpoint": str(best)}
    wanted = plan or undecided(data, "Temperature 1 and no rules: none were asked for.")
    provenance = {**source, "imgrec": __version__}
    with recorder.phase("predict"):
        decisions, predictions = decide(wanted, trainer, classifier, data=data, provenance=provenance)
    if trainer.is_global_zero and best == checkpoints.best:
        store_decisions(decisions, best)
    with recorder.phase("evaluation"):
        metrics = write_scores(predictions, decisions, folder / "evaluation", data=data, trainer=trainer, last=last)
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
        recorder.write(folder / "evaluation", config=config, data=data, network=classifier.net, source=source)
        log.info("Report: %s", write_report(folder / "evaluation"))
        log.info("Run folder: %s (best.ckpt, last.ckpt, history.csv, evaluation/)", folder)
        if trainer.loggers:
            log.info("Look inside: tensorboard --logdir %s", folder)
    return result


def _log(
    trainer: Trainer, predictions: Predictions, *, config: Mapping[str, Any], result: Result, folder: Path
) -> None:
    from imgrec.evaluation.report.tensorboard.tensorboard import log_evaluation

    for logger in trainer.loggers:
        log_evaluation(logger, predictions, config=config, result=result, folder=folder)


def _embed(trainer: Trainer, network: nn.Module, data: ImageDataModule, predictions: Predictions) -> None:
    """Give TensorBoard's projector some of the scored images, where TensorBoard is used."""
    from pytorch_lightning.loggers import TensorBoardLogger

    from imgrec.evaluation.report.tensorboard.embedding import write_embedding
    from imgrec.evaluation.report.tensorboard.tensorboard import part_of

    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            tag = f"{part_of(data.test_split)}/features"
            write_embedding(network, data, predictions, Path(logger.log_dir), tag=tag)
