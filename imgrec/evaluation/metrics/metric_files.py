"""The files that an evaluation leaves: predictions.parquet, metrics.json, per_class.csv, slices.json, and images."""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from imgrec.core.files.atomic_write import write_bytes
from imgrec.core.files.json_file import plain
from imgrec.errors import ConfigError
from imgrec.evaluation.figures.draw_all import draw_images
from imgrec.evaluation.metrics.compute import compute_metrics
from imgrec.evaluation.metrics.slices import write_slices
from imgrec.evaluation.predictions.parquet import write_parquet
from imgrec.evaluation.predictions.predictions import Predictions, visible

__all__ = ["as_cell", "write_evaluation", "write_numbers"]

FORMULA_STARTS = ("=", "+", "-", "@")


def write_evaluation(predictions: Predictions, folder: Path) -> dict[str, Any]:
    """Write all files into `folder`, made when absent, and return the scores as `compute_metrics` gives them.

    The table comes first: should anything later fail, every number can still be computed from it.
    Multi-label predictions have no confusion_matrix.png. Raises: RunFolderError: a file cannot be written.
    """
    write_parquet(predictions, folder / "predictions.parquet")
    scores = write_numbers(predictions, folder)
    draw_images(predictions, folder)
    return scores


def write_numbers(
    predictions: Predictions, folder: Path, *, more: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Any]:
    """Write metrics.json, per_class.csv and slices.json, and return the scores. Raises: RunFolderError."""
    scores = compute_metrics(predictions)
    if taken := sorted(scores.keys() & more.keys()):
        raise ConfigError(f"metrics: {taken[0]!r} is a metric of every evaluation. Give yours another name.")
    scores |= more
    write_bytes(folder / "metrics.json", _to_json(scores))
    write_bytes(folder / "per_class.csv", _to_csv(scores))
    write_slices(predictions, folder / "slices.json")
    return scores


def _to_json(scores: Mapping[str, Any]) -> bytes:
    """Return the scores as JSON that a person can read too: one line per score, per class, per row of the matrix."""
    lines = (f"  {json.dumps(name)}: {_to_block(plain(value))}" for name, value in scores.items())
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    return text.encode("utf-8", "backslashreplace")  # a stray surrogate becomes the \udcff that JSON knows


def _to_block(value: Any) -> str:
    if isinstance(value, dict) and "per_class" in value:  # intervals: a line each, as the scores themselves have
        lines = (f"    {json.dumps(name)}: {_to_block(item)}" for name, item in value.items())
        return "{\n" + ",\n".join(lines) + "\n  }"
    is_rows = isinstance(value, list) and value and isinstance(value[0], (list, dict))
    if not is_rows:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    rows = ",\n".join(f"    {json.dumps(row, ensure_ascii=False, allow_nan=False)}" for row in value)
    return f"[\n{rows}\n  ]"


def _to_csv(scores: Mapping[str, Any]) -> bytes:
    """Return one line per class, each score with the ends of its interval; an undefined one is an empty cell."""
    pairs = zip(scores["per_class"], scores["intervals"]["per_class"], strict=True)
    rows = [{**_with_ends(plain(row), ends), "class": as_cell(row["class"])} for row, ends in pairs]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode("utf-8")


def _with_ends(row: Mapping[str, Any], ends: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row with NAME_low and NAME_high after each score that has an interval."""
    cells: dict[str, Any] = {}
    for name, value in row.items():
        cells[name] = value
        if name in ends and name != "class":
            cells[f"{name}_low"], cells[f"{name}_high"] = ends[name] or (None, None)
    return cells


def as_cell(name: str) -> str:
    """Return a name that no spreadsheet takes for a formula, on one line."""
    shown = visible(name)
    return f"'{shown}" if shown.startswith(FORMULA_STARTS) else shown
