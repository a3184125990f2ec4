"""The scores of an evaluation as a table in the terminal; plain text where the output is a file or a pipe."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from imgrec.evaluation.predictions.predictions import visible

__all__ = ["print_scores"]

MOST_CLASSES = 15
TOP = 5
COLUMNS = ("support", "precision", "recall", "f1", "auroc", "average_precision")
SHOWN = {"f1": "F1", "auroc": "AUROC", "average_precision": "AP"}


def print_scores(scores: Mapping[str, Any], *, console: Console | None = None) -> None:
    """Print the result of `compute_metrics`: the headline, the classes (the worst 15 by F1 when more), the notes."""
    console = console or Console()
    console.print(_headline(scores))
    console.print(_class_table(scores, console))
    for note in scores["notes"]:
        console.print(_plain(f"Note: {note}", console), soft_wrap=True)


def _headline(scores: Mapping[str, Any]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 3, 0, 0))
    for name, value in _headline_rows(scores):
        table.add_row(Text(name), Text(value, style="bold"))
    return table


def _headline_rows(scores: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the main scores, each as `0.9386 (0.9337 to 0.9431)`: the value and its 95 % interval."""
    ends = scores.get("intervals", {})
    errors = ("errors", f"{scores['num_errors']:,} of {scores['num_samples']:,}")
    means = [
        (f"{SHOWN.get(name, name)} (macro)", _with_ends(scores[name]["macro"], ends.get(name, {}).get("macro")))
        for name in COLUMNS[1:]
    ]

    def row(shown: str, name: str) -> tuple[str, str]:
        return shown, _with_ends(scores[name], ends.get(name))

    losses = [row("log loss", "log_loss"), row("Brier score", "brier")]
    if scores["task"] == "multilabel":
        return [row("subset accuracy", "subset_accuracy"), errors, row("Hamming loss", "hamming_loss"), *means, *losses]
    has_choice = len(scores["class_names"]) > TOP  # among five classes or fewer top-5 is always 1
    top = [row("top-5 accuracy", "top5")] if has_choice else []
    agreement = [row("Cohen's kappa", "cohen_kappa"), row("Matthews correlation", "matthews")]
    return [row("accuracy", "accuracy"), errors, *top, *means, *agreement, *losses]


def _class_table(scores: Mapping[str, Any], console: Console) -> Table:
    rows = scores["per_class"]
    title = None
    if len(rows) > MOST_CLASSES:
        # An undefined F1 (neither there nor predicted) is no failure: after all others.
        rows = sorted(rows, key=lambda row: math.inf if math.isnan(row["f1"]) else row["f1"])[:MOST_CLASSES]
        title = f"\nthe {MOST_CLASSES} worst of {len(scores['per_class'])} classes by F1 (all are in per_class.csv)"
    table = Table(box=SIMPLE_HEAD, title=title, title_justify="left", title_style="italic")
    table.add_column("class", overflow="fold")
    for column in COLUMNS:
        table.add_column(SHOWN.get(column, column), justify="right")
    for row in rows:
        table.add_row(_plain(row["class"], console), *(_number(row[column]) for column in COLUMNS))
    return table


def _plain(text: str, console: Console) -> Text:
    """Return `text` as it is: no markup, no control characters, nothing that the terminal's encoding lacks."""
    return Text(visible(text).encode(console.encoding, "backslashreplace").decode(console.encoding))


def _with_ends(value: float, ends: Sequence[float] | None) -> str:
    return _number(value) if ends is None else f"{_number(value)} ({ends[0]:.4f} to {ends[1]:.4f})"


def _number(value: float) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return "undefined" if math.isnan(value) else f"{value:.4f}"
