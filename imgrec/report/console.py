"""The scores of an evaluation as a table in the terminal; plain text where the output is a file or a pipe."""

import math
from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from imgrec.report.predictions import visible

__all__ = ["print_scores"]

MOST_CLASSES = 15
TOP = 5
COLUMNS = ("support", "precision", "recall", "f1", "auroc", "average_precision")
SHOWN = {"f1": "F1", "auroc": "AUROC", "average_precision": "AP"}


def print_scores(scores: Mapping[str, Any], *, console: Console | None = None) -> None:
    """Print the result of `compute_scores`: the headline, the classes (the worst 15 by F1 when more), the notes."""
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
    errors = ("errors", f"{scores['num_errors']:,} of {scores['num_samples']:,}")
    means = [(f"{SHOWN.get(name, name)} (macro)", _number(scores[name]["macro"])) for name in COLUMNS[1:]]
    if scores["task"] == "multilabel":
        wrong = ("Hamming loss", _number(scores["hamming_loss"]))
        return [("subset accuracy", _number(scores["subset_accuracy"])), errors, wrong, *means]
    has_choice = len(scores["class_names"]) > TOP  # among five classes or fewer top-5 is always 1
    top = [("top-5 accuracy", _number(scores["top5"]))] if has_choice else []
    return [("accuracy", _number(scores["accuracy"])), errors, *top, *means]


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


def _number(value: float) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return "undefined" if math.isnan(value) else f"{value:.4f}"
