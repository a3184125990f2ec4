"""The network beside classical machine learning on the same split."""

from typing import Any

from imgrec.evaluation.predictions.predictions import visible
from imgrec.evaluation.report.blocks import Block, Cell, Column, Table, Words
from imgrec.evaluation.report.sections.numbers import SPACE, count, duration, interval, interval_of, percent, score

__all__ = ["baselines_blocks"]


def baselines_blocks(data: dict[str, Any]) -> list[Block]:
    """Return `baselines.json` as one table, best first, the network among them."""
    rows = [*data["baselines"], *([{**data["network"], "is_network": True}] if data["network"] else [])]
    rows.sort(key=lambda row: -row["accuracy"])
    columns = [
        Column("method"), Column("accuracy", "bar"), Column(f"95{SPACE}% interval", "number"),
        Column("errors", "number"), Column("macro F1", "number"), Column("time to fit", "number"),
        Column("per image", "number", "to predict, features included"),
        Column("size", "number"),
    ]  # fmt: skip
    lead = (
        f"Fitted on {count(data['num_train'], 'image')}, scored on the same {count(data['num_test'])} as the network."
    )
    if data.get("num_cores"):
        lead += f" Times on {count(data['num_cores'], 'processor core')}."
    return [Words(lead), Table("Baselines", columns, [_row(row) for row in rows]), *_notes(data)]


def _row(row: dict[str, Any]) -> list[Cell]:
    low, high = interval_of(row["accuracy_interval"])
    is_network = bool(row.get("is_network"))
    name = visible(str(row["name"])) + (" (this network)" if is_network else "")
    time, size = row.get("predict_ms_per_image"), row.get("size_bytes")
    return [
        Cell(name, name.lower(), tone="best" if is_network else "soft" if row.get("is_floor") else ""),
        Cell(percent(row["accuracy"]), row["accuracy"], share=row["accuracy"], low=low, high=high),
        Cell(interval(low, high), low),
        Cell(count(row["num_errors"]), row["num_errors"]),
        Cell(score(row["macro_f1"]), row["macro_f1"]),
        Cell(duration(row["fit_s"]) if row.get("fit_s") is not None else "", row.get("fit_s")),
        Cell(f"{time:.2g}{SPACE}ms" if time is not None else "", time),
        Cell(_bytes(size) if size is not None else "", size),
    ]


def _bytes(size: float) -> str:
    for unit in ("B", "KB", "MB"):
        if size < 1000:
            return f"{size:.3g}{SPACE}{unit}"
        size /= 1000
    return f"{size:.3g}{SPACE}GB"


def _notes(data: dict[str, Any]) -> list[Block]:
    notes = [str(note) for note in data["notes"]]
    notes += [f"{row['name']}: {row['note']}" for row in data["baselines"] if row.get("note")]
    return [Words(visible(note), "note") for note in notes]
