"""Lists of images: a path per line, or a column of a table."""

import os
import sys
from pathlib import Path

from imgrec.core.text import listed
from imgrec.data.sources.records import JSON_SUFFIXES, PARQUET_SUFFIXES, Table, read_records
from imgrec.deploy.predict.files import FileSource
from imgrec.errors import DataError, did_you_mean

__all__ = ["TABLE_SUFFIXES", "read_list"]

# os.path: there may be a million rows.
# ruff: noqa: PTH118

_LINES = ".txt"
TABLE_SUFFIXES = (_LINES, ".csv", ".tsv", *JSON_SUFFIXES, *PARQUET_SUFFIXES)
_MAX_LISTED = 5


def read_list(file: str, *, path_column: str) -> FileSource:
    """Return the images that a list names; a path that does not exist gives a prediction with an error.

    Relative paths are relative to the folder of the list, or to the current folder for standard input. Predictions
    have the paths as listed.

    Args:
        file: `-` (standard input) or a .txt file with a path per line; otherwise a table for `read_records`.
        path_column: Of a table, the column with the paths.

    Raises:
        DataError: No such file or column, another format, rows without a path, or an empty list.
    """
    if file == "-":
        names = _lines(sys.stdin.buffer.read())
        folder = ""
    else:
        path = Path(file)
        if path.suffix.lower() not in TABLE_SUFFIXES and path.is_file():
            raise DataError(f"--list {file}: a list ends in one of {', '.join(TABLE_SUFFIXES)}.")
        names = _read(path, path_column)
        folder = os.path.dirname(file)  # noqa: PTH120
    if not names:
        raise DataError(f"--list {file}: it names no images.")
    return FileSource([os.path.join(folder, name) for name in names], names)


def _read(path: Path, column: str) -> list[str]:
    if path.suffix.lower() == _LINES and path.is_file():
        try:
            return _lines(path.read_bytes())
        except OSError as error:
            raise DataError(f"--list {path} cannot be read: {error.strerror}.") from None
    table = read_records(path)
    if table.rows and column not in table.columns:
        near = did_you_mean(column, table.columns)
        known = listed(table.columns)
        raise DataError(f"{path} has no column '{column}'.{near} Its columns: {known}. Give --path-column NAME.")
    return _paths(table, column, path)


def _paths(table: Table, column: str, path: Path) -> list[str]:
    problems = list(table.problems)
    names = []
    for place, values in table.rows:
        value = values.get(column)
        if isinstance(value, str) and value.strip():
            names.append(value.strip())
        else:
            problems.append(f"{place}: no path")
    if problems:
        more = f"\n  and {len(problems) - _MAX_LISTED} more" if len(problems) > _MAX_LISTED else ""
        raise DataError(f"--list {path}: {len(problems)} lines cannot be used:\n  " + "\n  ".join(problems[:5]) + more)
    return names


def _lines(data: bytes) -> list[str]:
    """Return the lines that are not blank, without a byte-order mark. Names need not be UTF-8."""
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    return [line for line in (line.removesuffix("\r") for line in text.split("\n")) if line.strip()]
