"""Table files as rows with their line numbers: CSV, TSV, JSON lines or Parquet."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imgrec.errors import DataError, did_you_mean

TEXT_SUFFIXES = (".csv", ".tsv", ".txt")
JSON_SUFFIXES = (".jsonl", ".ndjson")
PARQUET_SUFFIXES = (".parquet", ".pq")


@dataclass
class Table:
    """Rows with their place, "line 3" or "row 3", and a message for each line that is no row."""

    columns: list[str]
    rows: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read_records(path: Path) -> Table:
    """Read a table, whose format is given by the suffix of its name.

    Text is UTF-8, with or without a byte-order mark; the delimiter is the one of `,` `;` tab `|` that is most frequent
    in the header.

    Raises:
        DataError: The file is absent, of another kind, empty, or not what its suffix says.
    """
    if not path.is_file():
        near = did_you_mean(
            path.name, sorted(entry.name for entry in path.parent.iterdir()) if path.parent.is_dir() else ()
        )
        raise DataError(f"{path}: no such file.{near}")
    suffix = path.suffix.lower()
    if suffix in PARQUET_SUFFIXES:
        table = _read_parquet(path)
    elif suffix in JSON_SUFFIXES:
        table = _read_json_lines(_read_text(path))
    elif suffix in TEXT_SUFFIXES:
        table = _read_delimited(path, _read_text(path), "\t" if suffix == ".tsv" else None)
    else:
        known = ", ".join(TEXT_SUFFIXES + JSON_SUFFIXES + PARQUET_SUFFIXES)
        raise DataError(f"{path}: a table ends in one of {known}.")
    if not table.rows and not table.problems:
        raise DataError(f"{path} has no rows.")
    return table


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text (byte {error.start}). Save it as CSV UTF-8.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from None


def _read_delimited(path: Path, text: str, delimiter: str | None) -> Table:
    header = text.lstrip().split("\n", 1)[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter or max(",;\t|", key=header.count))
    lines = _numbered(reader, path)
    columns = next((fields for _, fields in lines), [])
    columns = [column.strip() for column in columns]
    if len(set(columns)) < len(columns):
        raise DataError(f"{path}: the header names a column twice: {', '.join(columns)}.")
    table = Table(columns)
    for line, fields in lines:
        if len(fields) == len(columns):
            table.rows.append((f"line {line}", dict(zip(columns, fields, strict=True))))
        else:
            table.problems.append(f"line {line}: {len(fields)} fields, but the header has {len(columns)}")
    return table


def _numbered(reader: Any, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not blank, with the line on which each starts."""
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(f"{path} line {line}: {error}.") from None
        if any(field.strip() for field in fields):
            yield line, fields


def _read_json_lines(text: str) -> Table:
    table = Table([])
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except ValueError as error:
            table.problems.append(f"line {number}: not JSON ({error})")
            continue
        if isinstance(values, dict):
            table.rows.append((f"line {number}", values))
        else:
            table.problems.append(f'line {number}: a JSON object is needed, such as {{"path": ..., "label": ...}}')
    table.columns = list(dict.fromkeys(column for _, values in table.rows for column in values))
    return table


def _read_parquet(path: Path) -> Table:
    import pyarrow
    import pyarrow.parquet

    try:
        content = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet: {str(error).splitlines()[0]}") from None
    rows = enumerate(content.to_pylist(), start=1)
    return Table(list(content.column_names), [(f"row {number}", values) for number, values in rows])
