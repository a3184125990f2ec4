"""Calibration and decisions of an evaluation: calibration.json and decisions.json."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from imgrec.core.files.json_file import write_json
from imgrec.evaluation.decisions.calibrated import measure_both
from imgrec.evaluation.decisions.decisions import Decisions
from imgrec.evaluation.decisions.outcome import measure_outcome
from imgrec.evaluation.predictions.predictions import Predictions

__all__ = ["describe", "write_decided"]

FORMAT = 1
OPTIMISTIC = (
    "Temperature and rules were fitted on the images that are scored here, so what they did says nothing about "
    "what they will do."
)


def write_decided(predictions: Predictions, decisions: Decisions, folder: Path, *, split: str) -> dict[str, Any]:
    """Write both files into `folder`; return their contents by their names without ending.

    split: the name of the split that `predictions` are of. Raises: RunFolderError: a file cannot be written.
    """
    calibration = _calibration(predictions, decisions, split=split)
    outcome = _outcome(predictions, decisions, split=split)
    write_json(folder / "calibration.json", calibration)
    write_json(folder / "decisions.json", outcome)
    return {"calibration": calibration, "decisions": outcome}


def describe(written: Mapping[str, Any]) -> list[str]:
    """Return what `write_decided` wrote in a few lines for the log."""
    return [*_describe_calibration(written["calibration"]), *_describe_rules(written["decisions"])]


def _describe_calibration(calibration: Mapping[str, Any]) -> Iterator[str]:
    before, after = calibration["before"], calibration["after"]
    yield (
        f"Calibration: ECE {before['ece_width']:.4f}"
        + (f", with temperature {calibration['temperature']:.3g} {after['ece_width']:.4f}" if before != after else "")
        + f" (by chance {after['ece_by_chance']:.4f})"
    )
    yield from (f"Note: {note}" for note in calibration["notes"])


def _describe_rules(outcome: Mapping[str, Any]) -> Iterator[str]:
    for rule in outcome["reject"]:
        here, risk = rule["here"], rule["here"]["risk"]
        wrong = "" if risk is None else f", {risk:.2%} of them wrong"
        guaranteed = f"guaranteed: {rule['risk']:.2%} or less"
        yield f"{rule['name']}: accepts {here['coverage']:.1%} of the answers{wrong} ({guaranteed})"
    for rule in outcome["conformal"]:
        here = rule["here"]
        yield f"{rule['name']}: sets of {here['mean_size']:.2f} classes hold the true one in {here['coverage']:.1%}"
    yield from (f"{name}: {reason}" for name, reason in outcome["refused"].items())


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
