"""The metrics of an evaluation as a table in the terminal; plain text where the output is a file or a pipe."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from imgrec.core.text import printable

__all__ = ["print_metrics"]

MOST_CLASSES = 15
TOP = 5
COLUMNS = ("support", "precision", "recall", "f1", "auroc", "average_precision")
SHOWN = {"f1": "F1", "auroc": "AUROC", "average_precision": "AP"}


def print_metrics(metrics: Mapping[str, Any], *, console: Console | None = None) -> None:
    """Print the content of metrics.json: overall metrics, per-class metrics (at most the worst 15 by F1), notes."""
    console = console or Console()
    console.print(_headline(metrics))
    console.print(_class_table(metrics, console))
    for note in metrics["notes"]:
        console.print(_plain(f"Note: {note}", console), soft_wrap=True)


def _headline(metrics: Mapping[str, Any]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 3, 0, 0))
    for name, value in _headline_rows(metrics):
        table.add_row(Text(name), Text(value, style="bold"))
    return table


def _headline_rows(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return overall metrics, each as `0.9386 (0.9337 to 0.9431)`: the value and its 95 % interval."""
    ends = metrics.get("intervals", {})
    errors = ("errors", f"{metrics['num_errors']:,} of {metrics['num_samples']:,}")
    means = [
        (f"{SHOWN.get(name, name)} (macro)", _with_ends(metrics[name]["macro"], ends.get(name, {}).get("macro")))
        for name in COLUMNS[1:]
    ]

    def row(shown: str, name: str) -> tuple[str, str]:
        return shown, _with_ends(metrics[name], ends.get(name))

    losses = [row("log loss", "log_loss"), row("Brier score", "brier")]
    if metrics["task"] == "multilabel":
        return [row("subset accuracy", "subset_accuracy"), errors, row("Hamming loss", "hamming_loss"), *means, *losses]
    has_choice = len(metrics["class_names"]) > TOP  # of five classes or fewer it is always 1
    top = [row("top-5 accuracy", "top5")] if has_choice else []
    agreement = [row("Cohen's kappa", "cohen_kappa"), row("Matthews correlation", "matthews")]
    return [row("accuracy", "accuracy"), errors, *top, *means, *agreement, *losses]


def _class_table(metrics: Mapping[str, Any], console: Console) -> Table:
    rows = metrics["per_class"]
    title = None
    if len(rows) > MOST_CLASSES:
        # An undefined F1 (class neither in the labels nor predicted) comes last.
        rows = sorted(rows, key=lambda row: math.inf if math.isnan(row["f1"]) else row["f1"])[:MOST_CLASSES]
        title = f"\nThe {MOST_CLASSES} classes with the lowest F1 of {len(metrics['per_class'])} (all: per_class.csv)"
    table = Table(box=SIMPLE_HEAD, title=title, title_justify="left", title_style="italic")
    table.add_column("class", overflow="fold")
    for column in COLUMNS:
        table.add_column(SHOWN.get(column, column), justify="right")
    for row in rows:
        table.add_row(_plain(row["class"], console), *(_number(row[column]) for column in COLUMNS))
    return table


def _plain(text: str, console: Console) -> Text:
    """Return `text` without markup, with control and unencodable characters escaped."""
    return Text(printable(text).encode(console.encoding, "backslashreplace").decode(console.encoding))


def _with_ends(value: float, ends: Sequence[float] | None) -> str:
    return _number(value) if ends is None else f"{_number(value)} ({ends[0]:.4f} to {ends[1]:.4f})"


def _number(value: float) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return "undefined" if math.isnan(value) else f"{value:.4f}"
