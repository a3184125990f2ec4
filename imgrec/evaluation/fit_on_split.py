"""Fits decisions on a split, and stores them in and reads them from checkpoints."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytorch_lightning import Trainer

from imgrec.core.checkpoint.checkpoint import CheckpointInfo, save_checkpoint
from imgrec.data.loading.datamodule import ImageDataModule
from imgrec.errors import CheckpointError, ConfigError, DataError
from imgrec.evaluation.decisions.decisions import Decisions
from imgrec.evaluation.decisions.plan import Plan
from imgrec.evaluation.predictions.collect import predict
from imgrec.evaluation.predictions.predictions import Predictions
from imgrec.evaluation.predictions.scorer import Scorer

__all__ = ["check_plan", "decide", "decisions_in", "hold_out", "read_decisions", "store_decisions", "undecided"]

log = logging.getLogger("imgrec")

KEY = "decisions"  # of the record in a checkpoint


def check_plan(plan: Plan | None, data: ImageDataModule, *, training: bool) -> None:
    """Check, before anything is computed, that the plan can be fitted.

    Raises:
        ConfigError: It does not fit the classes, or there is no split to fit on.
    """
    if plan is None:
        return
    plan.check(data.splits.class_names, task=data.splits.task)
    if training and plan.holdout is not None:
        raise ConfigError(f"decisions.holdout={plan.holdout}: training fits on validation. Leave it null.")
    if not training and plan.holdout is None and not plan.is_empty and not data.has_split("val"):
        raise ConfigError(
            "The data has no val split to fit decisions on. decisions=holdout fits them on a share of the evaluated "
            "split, and computes the metrics on the rest."
        )


def hold_out(data: ImageDataModule, split: str, *, fraction: float, seed: int) -> None:
    """Hold out a fraction of the evaluated split, to fit decisions on.

    Raises:
        DataError: Too few images.
    """
    data.hold_out(split, fraction=fraction, to=_fit_slot(split), seed=seed)
    sizes = [len(data.split(name)) for name in (_fit_slot(split), split)]
    log.info("Decisions are fitted on %s images of %s, metrics are of the other %s.", sizes[0], split, sizes[1])


def _fit_slot(scored: str) -> str:
    """Return the split that the held-out images replace."""
    return "val" if scored != "val" else "train"


def undecided(data: ImageDataModule, note: str) -> Decisions:
    """Return temperature 1 and no rules, with a note that gives the reason."""
    return Decisions(data.splits.task, tuple(data.splits.class_names), notes=(note,))


def decide(
    by: Decisions | Plan,
    trainer: Trainer,
    scorer: Scorer,
    *,
    data: ImageDataModule,
    split: str,
    provenance: Mapping[str, str],
) -> tuple[Decisions, Predictions]:
    """Return decisions, and the predictions for `split` at their temperature, complete in every process.

    Args:
        by: Decisions to apply, or a plan, which is fitted on the validation split or on what `hold_out` held out.
        trainer: Runs the model.
        scorer: The model.
        data: Its data module.
        split: The split to predict.
        provenance: Kept in the predictions table.
    """
    if isinstance(by, Plan) and by.is_empty:
        by = undecided(data, "Temperature 1 and no rules, because of decisions=none.")
    if isinstance(by, Decisions):
        return by, _predict(by, trainer, scorer, data=data, split=split, provenance=provenance)
    fit_split = _fit_slot(split) if by.holdout else "val"
    known = predict(trainer, scorer, data=data, split=fit_split, provenance=provenance)
    decisions = by.fit(
        known.logits,
        known.labels,
        task=known.task,
        class_names=known.class_names,
        split="holdout" if by.holdout else "val",
        groups=known.groups,
    )
    if split == "val" and not by.holdout:
        return decisions, replace(known, temperature=decisions.temperature)
    return decisions, _predict(decisions, trainer, scorer, data=data, split=split, provenance=provenance)


def _predict(
    decisions: Decisions,
    trainer: Trainer,
    scorer: Scorer,
    *,
    data: ImageDataModule,
    split: str,
    provenance: Mapping[str, str],
) -> Predictions:
    predictions = predict(trainer, scorer, data=data, split=split, provenance=provenance)
    return replace(predictions, temperature=decisions.temperature)


def store_decisions(decisions: Decisions, checkpoint: Mapping[str, Any], *, path: Path) -> None:
    """Write decisions into a loaded checkpoint and save it atomically; unchanged ones are not written again.

    Raises:
        CheckpointError: The checkpoint cannot be written.
        RunFolderError: The disk is full, or the folder is not writable.
    """
    record = {**checkpoint["imgrec"], KEY: decisions.to_dict()}
    if record != checkpoint["imgrec"]:
        save_checkpoint({**checkpoint, "imgrec": record}, path)


def read_decisions(checkpoint: Mapping[str, Any], *, name: str) -> Decisions:
    """Return the decisions in a loaded checkpoint, as `decisions_in`.

    Raises:
        CheckpointError: As `decisions_in`.
    """
    return decisions_in(CheckpointInfo.from_checkpoint(checkpoint, name=name), name=name)


def decisions_in(info: CheckpointInfo, *, name: str) -> Decisions:
    """Return the decisions of a checkpoint; where it has none, temperature 1, no rules and a note.

    Args:
        info: Of the checkpoint.
        name: Name of the checkpoint in messages.

    Raises:
        CheckpointError: They are damaged, or for other classes than the checkpoint.
    """
    if KEY not in info.extra:
        note = f"{name} has no temperature and no decision rules: decisions=default fits them on its validation split."
        log.warning(note)
        return Decisions(
            "multilabel" if info.task == "multilabel" else "single", tuple(info.class_names), notes=(note,)
        )
    try:
        decisions = Decisions.from_dict(info.extra[KEY])
    except DataError as error:
        raise CheckpointError(f"{name}: {error}") from error
    if (decisions.task, list(decisions.class_names)) != (info.task, info.class_names):
        raise CheckpointError(f"{name}: its decisions are for other classes than it has. Use another checkpoint.")
    return decisions
