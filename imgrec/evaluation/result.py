"""result.json: the key numbers of a run, written at its end, by which a sweep ranks its jobs."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

from imgrec.core.files.json_file import write_json

__all__ = [
    "JobResult",
    "Result",
    "Score",
    "headline",
    "of_evaluation",
    "read_result",
    "read_score",
    "write_result",
]

RESULT_NAME = "result.json"
_NO_METRICS = ("format", "intervals", "interval_method")


class Result(TypedDict):
    """The contents of `result.json`.

    Attributes:
        score: Best value of `monitor`, by which runs are ranked.
        monitor: Name of the metric.
        mode: Whether "max" or "min" of it is best.
        epoch: In which it was reached; None for an evaluation.
        split: The evaluated split.
        metrics: Of the evaluation, see `headline`.
        checkpoint: The evaluated checkpoint or weights.
    """

    score: float | None
    monitor: str
    mode: str
    epoch: int | None
    split: str
    metrics: dict[str, float]
    checkpoint: str


@dataclass(frozen=True)
class Score:
    """The contents of `result.json`, which a run writes at its end.

    Attributes:
        value: Of the metric `monitor`; None if it is not a finite number.
        monitor: Name of the metric that jobs are ranked by.
        mode: "max" or "min".
        metrics: All metrics of the run by name, in its order.
    """

    value: float | None = None
    monitor: str = ""
    mode: str = "max"
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class JobResult:
    """One job of a sweep.

    Attributes:
        number: Of the job, from 0.
        folder: Its run folder.
        overrides: Values by key, as in the command.
        status: ok, failed, or stopped (by a signal to the sweep).
        exit_code: Of its process, negative for the signal that ended it.
        seconds: Duration; None if an earlier sweep ran it.
        score: Its result.
        error: First line of its last error message.
    """

    number: int
    folder: Path
    overrides: dict[str, str]
    status: str
    exit_code: int
    seconds: float | None = None
    score: Score = field(default_factory=Score)
    error: str = ""


def read_result(folder: Path) -> Score | None:
    """Return the result of the run in `folder`; None where there is none, or it is not readable."""
    try:
        found = json.loads((folder / RESULT_NAME).read_text(encoding="utf-8"))
        metrics = {str(name): float(value) for name, value in found.get("metrics", {}).items() if value is not None}
        return Score(_number(found.get("score")), str(found.get("monitor", "")), str(found.get("mode", "max")), metrics)
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def read_score(folder: Path) -> float | None:
    """Return the value that the run in `folder` is ranked by, or None."""
    result = read_result(folder)
    return result.value if result else None


def of_evaluation(metrics: Mapping[str, Any], *, split: str, source: str) -> Result:
    """Return the result of an evaluation: ranked by accuracy, with several labels per image by average precision."""
    numbers = headline(metrics)
    name = "accuracy" if "accuracy" in numbers else "average_precision_macro"
    return Result(
        score=numbers.get(name),
        monitor=f"{split}/{name}",
        mode="max",
        epoch=None,
        split=split,
        metrics=numbers,
        checkpoint=source,
    )


def headline(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the defined scalar metrics of `metrics.json`; averages get names like precision_macro."""
    flat: dict[str, float] = {}
    for name, value in metrics.items():
        if name in _NO_METRICS:
            continue
        if isinstance(value, Mapping):
            flat |= {f"{name}_{average}": number for average, number in value.items() if _is_number(number)}
        elif _is_number(value):
            flat[name] = value
    return flat


def write_result(result: Result, folder: Path) -> None:
    """Write `result.json`.

    Raises:
        RunFolderError: It cannot be written.
    """
    write_json(folder / RESULT_NAME, result)


def _number(value: Any) -> float | None:
    return float(value) if value is not None and math.isfinite(float(value)) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
