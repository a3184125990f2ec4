"""What a run comes to, in a few numbers: `result.json`, by which a sweep ranks its jobs."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

from imgrec.core.files.json_file import write_json

__all__ = ["Result", "headline", "of_evaluation", "write_result"]

_NO_SCORES = ("format", "intervals", "interval_method")


class Result(TypedDict):
    """score: the best value of `monitor`; mode: "max" or "min" of it is best; epoch: in which it was reached.

    split, metrics: the scores of `metrics.json`, and of what. checkpoint: what was scored, a checkpoint or weights.
    """

    score: float | None
    monitor: str
    mode: str
    epoch: int | None
    split: str
    metrics: dict[str, float]
    checkpoint: str


def of_evaluation(metrics: Mapping[str, Any], *, split: str, source: str) -> Result:
    """Return the result of an evaluation: ranked by accuracy, for several labels per image by average precision."""
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
    """Return the scalar scores of `metrics.json` that are defined, averages named like precision_macro."""
    flat: dict[str, float] = {}
    for name, value in metrics.items():
        if name in _NO_SCORES:
            continue
        if isinstance(value, Mapping):
            flat |= {f"{name}_{average}": number for average, number in value.items() if _is_number(number)}
        elif _is_number(value):
            flat[name] = value
    return flat


def write_result(result: Result, folder: Path) -> None:
    """Write `result.json`. Raises: RunFolderError."""
    write_json(folder / "result.json", result)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
