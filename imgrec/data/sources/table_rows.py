"""Rows of tables of images, with every fault found in them."""

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from imgrec.core.text import listed, printable
from imgrec.data.sources.assemble import SPLIT_OF
from imgrec.data.sources.records import Table, read_records
from imgrec.errors import DataError, did_you_mean

__all__ = ["MAX_LISTED", "Columns", "Reader", "Row"]

# Strings and os.path for the files: there may be a million rows.
# ruff: noqa: PTH116, PTH118

MAX_LISTED = 20  # problems that a message shows


@dataclass(frozen=True)
class Columns:
    """Names of the columns; None = there is none.

    Args:
        path: Column of paths.
        label: Column of labels.
        split: Column of splits.
        group: Column of groups.
        label_delimiter: Separator of several labels of an image.
        metadata: Columns to keep as metadata; "others" = every one that has no other role.
    """

    path: str
    label: str
    split: str | None
    group: str | None
    label_delimiter: str | None
    metadata: Sequence[str] | Literal["others"] | None = None

    def others(self, names: Sequence[str]) -> list[str]:
        """Return which of a table's columns are kept as metadata."""
        if self.metadata == "others":
            return [name for name in names if name not in (self.path, self.label, self.split, self.group)]
        return list(self.metadata or ())


@dataclass(frozen=True)
class Row:
    """A row.

    Args:
        place: Name of the row in messages, such as "line 3".
        path: Path of the image.
        labels: Labels, each once.
        part: "all" or a split, "" for an unknown one.
        group: Group, "" for none.
        metadata: Text by metadata column, "" for an empty cell.
    """

    place: str
    path: str
    labels: tuple[str, ...]
    part: str
    group: str
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Reader:
    """Collects rows and their faults.

    Args:
        columns: Names of the columns.
        root: Folder that relative paths start from; None = the folder of each table.
        name_files: Whether places need the name of their table.
    """

    columns: Columns
    root: str | None
    name_files: bool
    rows: list[Row] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    has_missing_file: bool = False
    _first: dict[str, Row] = field(default_factory=dict)  # by normalised path

    def add(self, part: str, file: Path) -> None:
        """Read a table for `part`, or for the splits in its column.

        Raises:
            DataError: A column is missing.
        """
        table = read_records(file)
        _check_columns(table, file, self.columns)
        prefix = f"{file.name} " if self.name_files else ""
        base = self.root or str(file.parent)
        kept = self.columns.others(table.columns)
        self.problems += [prefix + problem for problem in table.problems]
        for place, values in table.rows:
            row, problems = _parse(prefix + place, values, columns=self.columns, part=part, base=base)
            row = replace(row, metadata={name: _text(values.get(name)) for name in kept}) if kept else row
            problems = [*self._file_problems(row), *problems] or self._problems_with_earlier(row)
            self.problems += [f"{row.place}: {problem}" for problem in problems]
            self.rows.append(row)

    def _problems_with_earlier(self, row: Row) -> list[str]:
        first = self._first.setdefault(os.path.normpath(row.path), row)
        if first is row:
            return []
        if set(first.labels) == set(row.labels):
            return [f"{printable(row.path)} again, as in {first.place}"]
        now, before = listed(row.labels) or "nothing", listed(first.labels) or "nothing"
        return [f"{printable(row.path)} is {now} here, but {before} in {first.place}"]

    def _file_problems(self, row: Row) -> list[str]:
        if row.path.endswith(os.sep):
            return ["no path"]
        try:
            mode = os.stat(row.path).st_mode
        except (FileNotFoundError, NotADirectoryError):
            self.has_missing_file = True
            return [f"no such file: {printable(row.path)}"]
        except (OSError, ValueError) as error:
            return [f"{printable(row.path)} cannot be read: {getattr(error, 'strerror', None) or error}"]
        return [] if stat.S_ISREG(mode) else [f"{printable(row.path)} is not a regular file"]

    def shown_problems(self) -> list[str]:
        """Return the first problems, and how many more there are."""
        shown = self.problems[:MAX_LISTED]
        more = len(self.problems) - len(shown)
        return [*shown, f"and {more} more"] if more else shown

    def raise_problems(self, where: str) -> None:
        """Raise one DataError with all problems, if there are any."""
        if not self.problems:
            return
        shown = self.shown_problems()
        if self.has_missing_file:
            base = f"data.root={self.root}" if self.root else "the table's folder; data.root=FOLDER changes that"
            shown.append(f"(relative paths start from {base})")
        count = f"{len(self.problems)} problem{'s' if len(self.problems) > 1 else ''}"
        raise DataError(f"{where}: {count}:\n  " + "\n  ".join(shown))


def _check_columns(table: Table, file: Path, columns: Columns) -> None:
    wanted = {"path": columns.path, "label": columns.label, "split": columns.split, "group": columns.group}
    for role, column in wanted.items():
        if column is not None and column not in table.columns and table.rows:
            raise DataError(
                f"{file} has no column '{column}'.{did_you_mean(column, table.columns)} Its columns: "
                f"{listed(table.columns)}. Set data.{role}_column=NAME."
            )
    for column in columns.others(table.columns):
        if column not in table.columns and table.rows:
            raise DataError(
                f"{file} has no column '{column}', which data.metadata_columns names."
                f"{did_you_mean(column, table.columns)} Its columns: {listed(table.columns)}."
            )


def _parse(place: str, values: Mapping[str, Any], *, columns: Columns, part: str, base: str) -> tuple[Row, list[str]]:
    """Return the row and its faults, those of its file aside."""
    problems = []
    path = os.path.join(base, _text(values.get(columns.path)))
    labels, problem = _labels(values.get(columns.label), columns.label_delimiter)
    problems.append(problem)
    if columns.split is not None:
        text = _text(values.get(columns.split))
        part = SPLIT_OF.get(text.lower(), "")
        near = did_you_mean(text.lower(), SPLIT_OF)
        problems.append("" if part else f"split '{printable(text)}' is not train, val or test.{near}")
    group = "" if columns.group is None else _text(values.get(columns.group))
    problems.append("no group" if columns.group is not None and not group else "")
    return Row(place, path, labels, part, group), [problem for problem in problems if problem]


def _labels(value: Any, delimiter: str | None) -> tuple[tuple[str, ...], str]:
    """Return the labels of a cell, each once, and its fault or ""."""
    if isinstance(value, list):
        if delimiter is None:
            return (), "several labels; set data.label_delimiter to train with them"
        texts = [_text(part) for part in value]
    else:
        texts = [_text(value)] if delimiter is None else [part.strip() for part in _text(value).split(delimiter)]
    labels = tuple(dict.fromkeys(text for text in texts if text))
    return labels, "" if labels or delimiter is not None else "no label"


def _text(value: Any) -> str:
    """Return a cell as text: "" for a missing value, "3" for 3.0 (pandas stores integers with gaps as floats)."""
    if value is None or value != value:  # NaN
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()
