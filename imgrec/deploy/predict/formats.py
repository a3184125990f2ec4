"""Rows as lines of CSV or JSON."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from imgrec.deploy.predict.rows import Column, Row
from imgrec.evaluation.metrics.metric_files import as_cell

__all__ = ["CsvLines", "JsonLines", "Lines"]


class Lines(Protocol):
    """Turns rows into lines of text."""

    def header(self) -> bytes:
        """Return what comes before the first row."""
        ...

    def lines(self, rows: Sequence[Row]) -> bytes:
        """Return the lines of rows."""
        ...


class CsvLines:
    """CSV for spreadsheets: one line per row, no cell that they evaluate as a formula.

    A mapping by rule has a column `KEY:RULE` for each rule; `probabilities` is one cell of JSON. Several class names
    in a cell are separated by ";"; where a class name contains ";", such cells are JSON lists.
    """

    def __init__(self, columns: Sequence[Column], class_names: Sequence[str]) -> None:
        self._columns = columns
        self._joins = not any(";" in name for name in class_names)

    def header(self) -> bytes:
        """Return the line of column names."""
        names = [
            name
            for column in self._columns
            for name in [f"{column.name}:{rule}" for rule in column.rules] or [column.name]
        ]
        return self._written([[as_cell(name) for name in names]])

    def lines(self, rows: Sequence[Row]) -> bytes:
        """Return a line for each row; None is an empty cell."""
        return self._written([[cell for column in self._columns for cell in self._cells(row, column)] for row in rows])

    def _cells(self, row: Row, column: Column) -> Iterator[str]:
        value = row[column.name]
        for one in [(value or {}).get(rule) for rule in column.rules] if column.rules else [value]:
            yield self._cell(one, column)

    def _cell(self, value: Any, column: Column) -> str:
        if value is None:
            return ""
        if column.kind == "flag":
            return "true" if value else "false"
        if column.kind in ("integer", "number"):
            return repr(value)
        if column.kind == "probabilities":
            return json.dumps(value)
        if column.kind == "texts":
            return as_cell(";".join(value)) if self._joins else json.dumps(value)
        return as_cell(value)

    @staticmethod
    def _written(cells: Sequence[Sequence[str]]) -> bytes:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(cells)
        return text.getvalue().encode("utf-8")


class JsonLines:
    """One JSON object per line, with every key; file names that are not UTF-8 come back exactly (`os.fsencode`)."""

    def header(self) -> bytes:
        """Return nothing."""
        return b""

    def lines(self, rows: Sequence[Row]) -> bytes:
        """Return a line for each row."""
        return "".join(f"{json.dumps(row, allow_nan=False)}\n" for row in rows).encode("ascii")
