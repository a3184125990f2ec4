"""A table of pictures: one row each, with its path, its label, and where it belongs."""

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.data.datamodule import ImageDataModule
from imgrec.data.image import FileImages
from imgrec.data.samples import Samples, Splits
from imgrec.errors import DataError, did_you_mean
from imgrec.sources.assemble import SPLIT_OF, Found, assemble, check_folder, listed, printable, sort_names, storable
from imgrec.sources.records import Table, read_records

# Strings and os.path for the files: there may be a million rows.
# ruff: noqa: PTH116, PTH118

MAX_LISTED = 20  # problems that a message shows
NO_FILE = "no such file:"


class TableData(ImageDataModule):
    """Pictures named by a table; see `read_table`."""

    def __init__(
        self,
        *,
        path: str | None = None,
        train: str | None = None,
        val: str | None = None,
        test: str | None = None,
        root: str | None = None,
        path_column: str = "path",
        label_column: str = "label",
        split_column: str | None = None,
        group_column: str | None = None,
        label_delimiter: str | None = None,
        val_fraction: float = 0.1,
        test_fraction: float = 0.1,
        **loader: Any,
    ) -> None:
        super().__init__(**loader)
        self.options: dict[str, Any] = {
            "path": path,
            "train": train,
            "val": val,
            "test": test,
            "root": root,
            "path_column": path_column,
            "label_column": label_column,
            "split_column": split_column,
            "group_column": group_column,
            "label_delimiter": label_delimiter,
            "val_fraction": val_fraction,
            "test_fraction": test_fraction,
        }

    def read(self, class_names: Sequence[str] | None) -> Splits:
        """Read the splits; with `class_names`, map labels to that list by name. Raises: DataError."""
        return read_table(**self.options, seed=self.seed, class_names=class_names)


def read_table(
    *,
    path: str | None = None,
    train: str | None = None,
    val: str | None = None,
    test: str | None = None,
    root: str | None = None,
    path_column: str = "path",
    label_column: str = "label",
    split_column: str | None = None,
    group_column: str | None = None,
    label_delimiter: str | None = None,
    val_fraction: float = 0.1,
    test_fraction: float = 0.1,
    seed: int = 1,
    class_names: Sequence[str] | None = None,
) -> Splits:
    """Read pictures and labels from a table of `read_records`.

    path: one table, divided by `split_column` (train, val, test or a usual synonym) or here; or
    train, val, test: a table for each split.
    root: folder that relative paths count from; None = the folder of the table.
    label_delimiter: divides several labels of a picture, as ";" in "dog;night"; a list in JSON or Parquet needs none,
        but any delimiter set. The task is then "multilabel", and no label at all is allowed.
    group_column: names what must stay in one split.
    class_names, val_fraction, test_fraction, seed: as in `assemble`.

    Labels are text; numbers become text ("3"). The class list is sorted, by value where all labels are whole numbers.
    Raises: DataError: everything wrong with the rows in one message, with line numbers; and as `assemble`.
    """
    tables = {name: file for name, file in (("all", path), ("train", train), ("val", val), ("test", test)) if file}
    _check_tables(tables, split_column)
    if root is not None:
        check_folder("root", root)
    columns = _Columns(path_column, label_column, split_column, group_column, label_delimiter)
    reader = _Reader(columns, root=root, name_files=len(tables) > 1)
    for part, file in tables.items():
        reader.add(part, Path(file))
    where = ", ".join(f"data.{'path' if part == 'all' else part}={file}" for part, file in tables.items())
    reader.raise_problems(where)
    names = sort_names(label for row in reader.rows for label in row.labels)
    by_part: dict[str, list[_Row]] = {}
    for row in reader.rows:
        by_part.setdefault(row.part, []).append(row)
    found = Found(
        where=where,
        parts={part: _samples(rows, names, columns) for part, rows in by_part.items()},
        label_names=names,
        task="single" if label_delimiter is None else "multilabel",
    )
    return assemble(found, class_names=class_names, val_fraction=val_fraction, test_fraction=test_fraction, seed=seed)


def _check_tables(tables: Mapping[str, str], split_column: str | None) -> None:
    if not tables:
        raise DataError("No table is named. Set data.path=FILE, or data.train=FILE, or data.test=FILE.")
    if "all" in tables and len(tables) > 1:
        raise DataError("data.path is one table for all splits; data.train, data.val and data.test are one each.")
    if "all" not in tables and split_column is not None:
        raise DataError(f"data.split_column={split_column} belongs to data.path, not to a table for each split.")


@dataclass(frozen=True)
class _Columns:
    path: str
    label: str
    split: str | None
    group: str | None
    label_delimiter: str | None


@dataclass(frozen=True)
class _Row:
    place: str
    path: str
    labels: tuple[str, ...]
    part: str
    group: str


@dataclass
class _Reader:
    """Collects rows, and everything that is wrong with them.

    root: folder that relative paths count from; None = the folder of each table.
    """

    columns: _Columns
    root: str | None
    name_files: bool  # whether a place needs its table's name
    rows: list[_Row] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    _first: dict[str, _Row] = field(default_factory=dict)  # by normalised path

    def add(self, part: str, file: Path) -> None:
        """Read a table for `part`, or for the splits in its column. Raises: DataError: a column is missing."""
        table = read_records(file)
        _check_columns(table, file, self.columns)
        prefix = f"{file.name} " if self.name_files else ""
        base = self.root or str(file.parent)
        self.problems += [prefix + problem for problem in table.problems]
        for place, values in table.rows:
            row, problems = _parse(prefix + place, values, columns=self.columns, part=part, base=base)
            problems = problems or self._problems_with_before(row)
            self.problems += [f"{row.place}: {problem}" for problem in problems]
            self.rows.append(row)

    def _problems_with_before(self, row: _Row) -> list[str]:
        first = self._first.setdefault(os.path.normpath(row.path), row)
        if first is row:
            return []
        if set(first.labels) == set(row.labels):
            return [f"{printable(row.path)} again, as in {first.place}"]
        now, before = listed(row.labels) or "nothing", listed(first.labels) or "nothing"
        return [f"{printable(row.path)} is {now} here, but {before} in {first.place}"]

    def raise_problems(self, where: str) -> None:
        """Raise one DataError with all problems, if there are any."""
        if not self.problems:
            return
        shown = self.problems[:MAX_LISTED]
        if more := len(self.problems) - len(shown):
            shown.append(f"and {more} more")
        if any(NO_FILE in problem for problem in self.problems):
            base = f"data.root={self.root}" if self.root else "the table's folder; data.root=FOLDER changes that"
            shown.append(f"(relative paths count from {base})")
        count = f"{len(self.problems)} problem{'s' if len(self.problems) > 1 else ''}"
        raise DataError(f"{where}: {count}:\n  " + "\n  ".join(shown))


def _check_columns(table: Table, file: Path, columns: _Columns) -> None:
    wanted = {"path": columns.path, "label": columns.label, "split": columns.split, "group": columns.group}
    for role, column in wanted.items():
        if column is not None and column not in table.columns and table.rows:
            raise DataError(
                f"{file} has no column '{column}'.{did_you_mean(column, table.columns)} Its columns: "
                f"{listed(table.columns)}. Set data.{role}_column=NAME."
            )


def _parse(place: str, values: Mapping[str, Any], *, columns: _Columns, part: str, base: str) -> tuple[_Row, list[str]]:
    """Return the row and what is wrong with it."""
    problems = []
    name = _text(values.get(columns.path))
    path = os.path.join(base, name)
    problems.append(_file_problem(path) if name else "no path")
    labels, problem = _labels(values.get(columns.label), columns.label_delimiter)
    problems.append(problem)
    if columns.split is not None:
        text = _text(values.get(columns.split))
        part = SPLIT_OF.get(text.lower(), "")
        near = did_you_mean(text.lower(), SPLIT_OF)
        problems.append("" if part else f"split '{printable(text)}' is not train, val or test.{near}")
    group = "" if columns.group is None else _text(values.get(columns.group))
    problems.append("no group" if columns.group is not None and not group else "")
    return _Row(place, path, labels, part, group), [problem for problem in problems if problem]


def _labels(value: Any, delimiter: str | None) -> tuple[tuple[str, ...], str]:
    """Return the labels of a cell, each once, and what is wrong with it."""
    if isinstance(value, list):
        if delimiter is None:
            return (), "several labels; set data.label_delimiter to train with them"
        texts = [_text(part) for part in value]
    else:
        texts = [_text(value)] if delimiter is None else [part.strip() for part in _text(value).split(delimiter)]
    labels = tuple(dict.fromkeys(text for text in texts if text))
    return labels, "" if labels or delimiter is not None else "no label"


def _text(value: Any) -> str:
    """Return a cell as text: nothing for a missing value, 3 for 3.0 (a column with gaps turns whole numbers so)."""
    if value is None or value != value:  # NaN
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _file_problem(path: str) -> str:
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return f"{NO_FILE} {printable(path)}"
    except (OSError, ValueError) as error:
        return f"{printable(path)} cannot be read: {getattr(error, 'strerror', None) or error}"
    return "" if stat.S_ISREG(mode) else f"{printable(path)} is not a regular file"


def _samples(rows: Sequence[_Row], names: Sequence[str], columns: _Columns) -> Samples:
    index_of = {name: index for index, name in enumerate(names)}
    labels: NDArray[np.int64] | NDArray[np.uint8]
    if columns.label_delimiter is None:
        labels = np.array([index_of[row.labels[0]] for row in rows], dtype=np.int64)
    else:
        labels = np.zeros((len(rows), len(names)), dtype=np.uint8)
        for sample, row in enumerate(rows):
            labels[sample, [index_of[label] for label in row.labels]] = 1
    return Samples(
        names=[storable(row.path) for row in rows],
        images=FileImages([Path(row.path) for row in rows]),
        labels=labels,
        groups=None if columns.group is None else [row.group for row in rows],
    )
