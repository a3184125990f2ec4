"""A column of a table with metadata of the images, such as the patient or the date."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from imgrec.core.text import listed
from imgrec.data.sources.assemble import storable
from imgrec.data.sources.records import JSON_SUFFIXES, PARQUET_SUFFIXES, TEXT_SUFFIXES, Table, read_records
from imgrec.errors import DataError, did_you_mean

__all__ = ["find_tables", "group_names", "read_column"]

# Strings and os.path in place of Path: there may be a million rows.
# ruff: noqa: PTH118

_SUFFIXES = (*TEXT_SUFFIXES, *JSON_SUFFIXES, *PARQUET_SUFFIXES)
_PATH_COLUMNS = ("path", "file_name", "filename", "filepath", "file", "image", "name")
_DATA_KEYS = ("data.path", "data.root", "data.train", "data.val", "data.test")
_TWICE = object()  # a file name that several rows have, in different folders


def find_tables(target: str | None, overrides: Sequence[str]) -> list[Path]:
    """Return the tables of the data: the target itself, those that overrides name, or those in its folder."""
    values = [(key, value.strip("'\"")) for key, _, value in (override.partition("=") for override in overrides)]
    given = [Path(target)] if target is not None else [Path(value) for key, value in values if key in _DATA_KEYS]
    found = [file for path in given for file in (sorted(path.iterdir()) if path.is_dir() else [path])]
    return [file for file in found if file.suffix.lower() in _SUFFIXES and file.is_file()]


def read_column(
    column: str, *, tables: Sequence[Path], names: Sequence[str], overrides: Sequence[str] = ()
) -> list[Any]:
    """Return the cell of `column` for each image.

    Args:
        column: Name of the column.
        tables: Those without the column are ignored. Their paths are relative to `data.root` in `overrides`, or to
            their own folder; a file name is enough where only one image has it.
        names: Paths of the images as the source gives them.
        overrides: Of the data.

    Raises:
        DataError: No table has the column, an image is in none of them, or its cell is empty.
    """
    given = dict(override.split("=", 1) for override in overrides if "=" in override)
    cells: dict[str, Any] = {}
    for path, table in _with_column(column, tables).items():
        key = given.get("data.path_column") or next((name for name in _PATH_COLUMNS if name in table.columns), None)
        if key is None or key not in table.columns:
            raise DataError(
                f"{path} has no column that names the images (such as path), only {', '.join(table.columns)}. Add "
                f"data.path_column=NAME."
            )
        root = given.get("data.root", "").strip("'\"") or str(path.parent)
        cells |= {_key(os.path.join(root, str(row.get(key) or ""))): row.get(column) for _, row in table.rows}
    found = _look_up(cells, names)
    if missing := [name for name, cell in zip(names, found, strict=True) if _is_empty(cell)]:
        where = ", ".join(str(path) for path in tables)
        raise DataError(
            f"Column {column!r} ({where}) has no value for {len(missing)} of {len(names)} images: "
            f"{listed(missing, limit=4)}."
        )
    return found


def _with_column(column: str, tables: Sequence[Path]) -> dict[Path, Table]:
    every = {path: read_records(path) for path in tables}
    found = {path: table for path, table in every.items() if column in table.columns}
    if found:
        return found
    if not every:
        raise DataError(
            f"No table with a column {column!r}. Give a table with that column, or put one into the folder "
            f"(photos/metadata.csv with the columns path and {column}), or use --group-pattern."
        )
    columns = list(dict.fromkeys(name for table in every.values() for name in table.columns))
    where = ", ".join(str(path) for path in every)
    raise DataError(
        f"{where}: no column {column!r}.{did_you_mean(column, columns)} Columns: {', '.join(columns[:20])}."
    )


def _key(path: str) -> str:
    return storable(os.path.normpath(path))


def _look_up(cells: Mapping[str, Any], names: Sequence[str]) -> list[Any]:
    by_last: dict[str, Any] = {}
    for path, cell in cells.items():
        last = path.rpartition("/")[2]
        by_last[last] = _TWICE if last in by_last else cell
    lasts = Counter(name.rpartition("/")[2] for name in names)
    found = []
    for name in names:
        last = name.rpartition("/")[2]
        found.append(cells.get(_key(name), by_last.get(last) if lasts[last] == 1 else None))
    return found


def _is_empty(cell: Any) -> bool:
    return cell is None or cell is _TWICE or cell != cell or str(cell).strip() == ""


def group_names(cells: Sequence[Any]) -> list[str]:
    """Return cells as names: 3 for 3.0, as a column with gaps turns whole numbers so."""
    return [str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell).strip() for cell in cells]
