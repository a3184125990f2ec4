"""Where decisions are fitted, where they are kept, and how they are found again."""

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
    """Check, before anything is computed, that the decisions that are wanted can be fitted. Raises: ConfigError."""
    if plan is None:
        return
    plan.check(data.splits.class_names, task=data.splits.task)
    if training and plan.holdout is not None:
        raise ConfigError(f"decisions.holdout={plan.holdout}: training fits on validation. Leave it null.")
    if not training and plan.holdout is None and not plan.is_empty and not data.has_split("val"):
        raise ConfigError(
            "The data has no val split to fit decisions on. decisions=holdout fits them on one part of the split that "
            "is to be scored, and scores the other."
        )


def hold_out(data: ImageDataModule, split: str, *, fraction: float, seed: int) -> None:
    """Take a fraction of the split that is to be scored away from it, to fit on. Raises: DataError: too few."""
    data.hold_out(split, fraction=fraction, to=_fit_slot(split), seed=seed)
    sizes = [len(data.split(name)) for name in (_fit_slot(split), split)]
    log.info("Decisions are fitted on %s images of %s, metrics are of the other %s.", sizes[0], split, sizes[1])


def _fit_slot(scored: str) -> str:
    """Return the split whose place the images to fit on take."""
    return "val" if scored != "val" else "train"


def undecided(data: ImageDataModule, note: str) -> Decisions:
    """Return decisions that change nothing: temperature 1, no rules, and a note that says why."""
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
    """Return decisions, and the predictions for `split` by their temperature, complete in every process.

    by: what was decided before, or a plan, which is fitted on the validation split, or on what `hold_out` took away.
    """
    if isinstance(by, Plan) and by.is_empty:
        by = undecided(data, "Temperature 1 and no rules, as decisions=none has it.")
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
    """Write decisions into the record of a checkpoint; at every moment the old file is there or the new one, whole.

    One that holds the same already is left alone. Raises: CheckpointError, RunFolderError.
    """
    record = {**checkpoint["imgrec"], KEY: decisions.to_dict()}
    if record != checkpoint["imgrec"]:
        save_checkpoint({**checkpoint, "imgrec": record}, path)


def read_decisions(checkpoint: Mapping[str, Any], *, name: str) -> Decisions:
    """Return the decisions in a loaded checkpoint, as `decisions_in` does. Raises: CheckpointError."""
    return decisions_in(CheckpointInfo.from_checkpoint(checkpoint, name=name), name=name)


def decisions_in(info: CheckpointInfo, *, name: str) -> Decisions:
    """Return the decisions in the record of a checkpoint; where it has none, temperature 1 and a note.

    name: what messages call it. Raises: CheckpointError: they are damaged, or for other classes than the checkpoint.
    """
    if KEY not in info.extra:
        note = f"{name} carries no temperature and no decisions: decisions=default fits them on its validation data."
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
