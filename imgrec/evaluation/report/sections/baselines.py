"""Baselines: the model compared with classical machine learning on the same split."""

from typing import Any

from imgrec.core.text import printable
from imgrec.evaluation.report.blocks import Block, Cell, Column, Paragraph, Table, notes
from imgrec.evaluation.report.sections.numbers import (
    SPACE,
    count,
    decimal,
    duration,
    interval,
    interval_of,
    percent,
    size,
)

__all__ = ["baselines_blocks"]


def baselines_blocks(data: dict[str, Any]) -> list[Block]:
    """Return `baselines.json` as one table, best first, with the model in it."""
    rows = [*data["baselines"], *([{**data["network"], "is_model": True}] if data["network"] else [])]
    rows.sort(key=lambda row: -row["accuracy"])
    columns = [
        Column("method"), Column("accuracy", "bar"), Column(f"95{SPACE}% interval", "number"),
        Column("errors", "number"), Column("macro F1", "number"), Column("fit time", "number"),
        Column("time per image", "number", "prediction, including feature extraction"),
        Column("size", "number"),
    ]  # fmt: skip
    lead = f"Fitted on {count(data['num_train'], 'image')}, evaluated on the same {count(data['num_test'], 'image')}."
    if data.get("num_cores"):
        lead += f" Times measured on {count(data['num_cores'], 'processor core')}."
    row_notes = [f"{row['name']}: {row['note']}" for row in data["baselines"] if row.get("note")]
    table = Table("Baselines", columns, [_row(row) for row in rows])
    return [Paragraph(lead), table, *notes(data), *notes({"notes": row_notes})]


def _row(row: dict[str, Any]) -> list[Cell]:
    low, high = interval_of(row["accuracy_interval"])
    is_model = bool(row.get("is_model"))
    name = printable(str(row["name"])) + (" (this model)" if is_model else "")
    time, num_bytes = row.get("predict_ms_per_image"), row.get("size_bytes")
    return [
        Cell(name, name.lower(), tone="best" if is_model else "soft" if row.get("is_majority_class") else ""),
        Cell(percent(row["accuracy"]), row["accuracy"], share=row["accuracy"], low=low, high=high),
        Cell(interval(low, high), low),
        Cell(count(row["num_errors"]), row["num_errors"]),
        Cell(decimal(row["macro_f1"]), row["macro_f1"]),
        Cell(duration(row["fit_s"]) if row.get("fit_s") is not None else "", row.get("fit_s")),
        Cell(f"{time:.2g}{SPACE}ms" if time is not None else "", time),
        Cell(size(num_bytes) if num_bytes is not None else "", num_bytes),
    ]
