"""calibration.json and decisions.json of an evaluation."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from imgrec.core.files.json_file import write_json
from imgrec.evaluation.decisions.calibrated import measure_both
from imgrec.evaluation.decisions.decisions import Decisions
from imgrec.evaluation.decisions.outcome import measure_outcome
from imgrec.evaluation.predictions.predictions import Predictions

__all__ = ["write_decided"]

FORMAT = 1
OPTIMISTIC = (
    "Temperature and rules were fitted on the images that are evaluated here, so these results are too optimistic for "
    "new images."
)


def write_decided(predictions: Predictions, decisions: Decisions, folder: Path, *, split: str) -> dict[str, Any]:
    """Write both files into `folder`; return their contents as `calibration` and `decisions`.

    Args:
        predictions: Of the evaluated split.
        decisions: Temperature and rules.
        folder: Exists.
        split: Name of the evaluated split.

    Raises:
        RunFolderError: A file cannot be written.
    """
    calibration = _calibration(predictions, decisions, split=split)
    outcome = _outcome(predictions, decisions, split=split)
    write_json(folder / "calibration.json", calibration)
    write_json(folder / "decisions.json", outcome)
    return {"calibration": calibration, "decisions": outcome}


def _head(decisions: Decisions, *, num_samples: int, split: str) -> dict[str, Any]:
    fitted_on = None if decisions.fitted_on is None else asdict(decisions.fitted_on)
    return {
        "format": FORMAT,
        "task": decisions.task,
        "fitted_on": fitted_on,
        "scored_on": {"split": split, "num_samples": num_samples},
        "is_optimistic": fitted_on is not None and fitted_on["split"] == split,
    }


def _calibration(predictions: Predictions, decisions: Decisions, *, split: str) -> dict[str, Any]:
    measured = measure_both(replace(predictions, temperature=decisions.temperature))
    head = _head(decisions, num_samples=len(predictions), split=split)
    notes = [*decisions.notes, *([OPTIMISTIC] if head["is_optimistic"] else [])]
    return {**head, **measured, "notes": notes}


def _outcome(predictions: Predictions, decisions: Decisions, *, split: str) -> dict[str, Any]:
    head = _head(decisions, num_samples=len(predictions), split=split)
    outcome = measure_outcome(decisions, predictions.logits, predictions.labels)
    notes = [*outcome["notes"], *([OPTIMISTIC] if head["is_optimistic"] else [])]
    return {**head, "class_names": list(decisions.class_names), **outcome, "notes": notes}
