"""Writes the files of an evaluation: predictions.parquet, metrics.json, per_class.csv, slices.json and figures."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from imgrec.core.files.atomic_write import write_bytes
from imgrec.core.files.csv_cell import guarded
from imgrec.core.files.json_file import plain, write_json
from imgrec.core.text import printable
from imgrec.errors import ConfigError
from imgrec.evaluation.figures.draw_all import draw_figures
from imgrec.evaluation.metrics.compute import compute_metrics
from imgrec.evaluation.metrics.slices import write_slices
from imgrec.evaluation.predictions.parquet import write_parquet
from imgrec.evaluation.predictions.predictions import Predictions

__all__ = ["as_cell", "write_evaluation", "write_numbers"]


def write_evaluation(predictions: Predictions, folder: Path) -> dict[str, Any]:
    """Write all files into `folder`, created if needed, and return the metrics as `compute_metrics` does.

    The table comes first: if anything later fails, every number can still be computed from it. With several labels per
    image there is no confusion_matrix.png.

    Raises:
        RunFolderError: A file cannot be written.
    """
    write_parquet(predictions, folder / "predictions.parquet")
    metrics = write_numbers(predictions, folder)
    draw_figures(predictions, folder)
    return metrics


def write_numbers(
    predictions: Predictions, folder: Path, *, more: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Any]:
    """Write metrics.json, per_class.csv and slices.json, and return the metrics.

    Raises:
        ConfigError: `more` has the name of a built-in metric.
        RunFolderError: A file cannot be written.
    """
    metrics = compute_metrics(predictions)
    if taken := sorted(metrics.keys() & more.keys()):
        raise ConfigError(f"metrics: {taken[0]!r} is a built-in metric. Give yours another name.")
    metrics |= more
    write_json(folder / "metrics.json", metrics)
    write_bytes(folder / "per_class.csv", _to_csv(metrics))
    write_slices(predictions, folder / "slices.json")
    return metrics


def _to_csv(metrics: Mapping[str, Any]) -> bytes:
    """Return one line per class, each metric with the ends of its interval; undefined ones are empty cells."""
    pairs = zip(metrics["per_class"], metrics["intervals"]["per_class"], strict=True)
    rows = [{**_with_ends(plain(row), ends), "class": as_cell(row["class"])} for row, ends in pairs]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode("utf-8")


def _with_ends(row: Mapping[str, Any], ends: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row with NAME_low and NAME_high after each metric that has an interval."""
    cells: dict[str, Any] = {}
    for name, value in row.items():
        cells[name] = value
        if name in ends and name != "class":
            cells[f"{name}_low"], cells[f"{name}_high"] = ends[name] or (None, None)
    return cells


def as_cell(name: str) -> str:
    """Return a name on one line that a spreadsheet does not take for a formula."""
    return guarded(printable(name))
