"""Rows as bytes: a line of CSV or of JSON each."""

import csv
import io
import json
from collections.abc import Sequence
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
    """CSV as spreadsheets read it: one line a row, nothing that they take for a formula.

    Several names in a cell are divided by ";". Should a class have a ";" in its name, such cells are JSON lists.
    """

    def __init__(self, columns: Sequence[Column], class_names: Sequence[str]) -> None:
        self._columns = columns
        self._joins = not any(";" in name for name in class_names)

    def header(self) -> bytes:
        """Return the line of names."""
        return self._written([[as_cell(column.name) for column in self._columns]])

    def lines(self, rows: Sequence[Row]) -> bytes:
        """Return a line for each row; what is None is an empty cell."""
        return self._written([[self._cell(row[column.name], column) for column in self._columns] for row in rows])

    def _cell(self, value: Any, column: Column) -> str:
        if value is None:
            return ""
        if column.kind == "flag":
            return "true" if value else "false"
        if column.kind == "number":
            return repr(value)
        if column.kind == "texts":
            return as_cell(";".join(value)) if self._joins else json.dumps(value)
        return as_cell(value)

    @staticmethod
    def _written(cells: Sequence[Sequence[str]]) -> bytes:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(cells)
        return text.getvalue().encode("utf-8")


class JsonLines:
    """One JSON object a line, every column in each; names of any bytes come back exactly (`os.fsencode`)."""

    def header(self) -> bytes:
        """Return nothing."""
        return b""

    def lines(self, rows: Sequence[Row]) -> bytes:
        """Return a line for each row."""
        return "".join(f"{json.dumps(row, allow_nan=False)}\n" for row in rows).encode("ascii")
