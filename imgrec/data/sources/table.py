"""Images listed in a table, one row each: path, label and optionally split, group and metadata."""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from imgrec.data.images.collections import FileImages
from imgrec.data.loading.datamodule import ImageDataModule
from imgrec.data.samples import Column, Note, Samples, Splits
from imgrec.data.sources.assemble import Found, assemble, check_folder, sort_names, storable
from imgrec.data.sources.table_rows import Columns, Reader, Row
from imgrec.errors import DataError


class TableData(ImageDataModule):
    """Data module for images listed in a table; arguments as in `read_table`."""

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
        metadata_columns: Sequence[str] | Literal["others"] | None = None,
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
            "metadata_columns": metadata_columns,
            "val_fraction": val_fraction,
            "test_fraction": test_fraction,
        }

    def read(self, class_names: Sequence[str] | None) -> Splits:
        """Read the splits; with `class_names`, map labels to that list by name."""
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
    metadata_columns: Sequence[str] | Literal["others"] | None = None,
    val_fraction: float = 0.1,
    test_fraction: float = 0.1,
    seed: int = 1,
    class_names: Sequence[str] | None = None,
) -> Splits:
    """Read images and labels from a table of `read_records`.

    Labels are text; numbers become text ("3"). The class list is sorted, by value where all labels are integers.

    Args:
        path: One table for all splits; or a table for each in `train`, `val` and `test`.
        train: Table of the training split.
        val: Table of the validation split.
        test: Table of the test split.
        root: Folder that relative paths start from; None = the folder of the table.
        path_column: Column of image paths.
        label_column: Column of labels.
        split_column: Column with train, val or test (or a usual synonym); None = splits are drawn.
        group_column: Column that names what must stay in one split.
        label_delimiter: Separator of several labels of an image, as ";" in "dog;night". With any delimiter, a cell in
            JSON or Parquet may be a list, the task is "multilabel", and an image may have no label.
        metadata_columns: Columns to keep for slices of the metrics: names, or "others" for all that have no other
            role. A column is numeric where all its values are numbers.
        val_fraction: As in `assemble`, like `test_fraction`, `seed` and `class_names`.
        test_fraction: See `assemble`.
        seed: See `assemble`.
        class_names: See `assemble`.

    Raises:
        DataError: The rows have faults, all of them in one message with line numbers; or as in `assemble`.
    """
    columns = Columns(path_column, label_column, split_column, group_column, label_delimiter, metadata_columns)
    where, reader = _read({"all": path, "train": train, "val": val, "test": test}, columns=columns, root=root)
    reader.raise_problems(where)
    found = _found(where, reader)
    return assemble(found, class_names=class_names, val_fraction=val_fraction, test_fraction=test_fraction, seed=seed)


def list_table(
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
) -> Found:
    """Read a table as `read_table` does, but without splitting it; for audits and packing.

    Missing files, rows without a label (-1) and images listed twice are kept, with a note.

    Raises:
        DataError: A row has no path or an unknown split, or a table cannot be read.
    """
    columns = Columns(path_column, label_column, split_column, group_column, label_delimiter)
    where, reader = _read({"all": path, "train": train, "val": val, "test": test}, columns=columns, root=root)
    if not reader.rows or any(not row.part or row.path.endswith(os.sep) for row in reader.rows):
        reader.raise_problems(where)
        raise DataError(f"{where}: no rows.")
    return _found(where, reader, notes=[Note("table", f"{where}: {problem}.") for problem in reader.shown_problems()])


def _read(files: Mapping[str, str | None], *, columns: Columns, root: str | None) -> tuple[str, Reader]:
    """Return the name of the tables in messages, and a reader with their rows."""
    tables = {part: file for part, file in files.items() if file}
    _check_tables(tables, columns.split)
    if root is not None:
        check_folder("root", root)
    reader = Reader(columns, root=root, name_files=len(tables) > 1)
    for part, file in tables.items():
        reader.add(part, Path(file))
    return ", ".join(f"data.{'path' if part == 'all' else part}={file}" for part, file in tables.items()), reader


def _found(where: str, reader: Reader, *, notes: Sequence[Note] = ()) -> Found:
    names = sort_names(label for row in reader.rows for label in row.labels)
    by_part: dict[str, list[Row]] = {}
    for row in reader.rows:
        by_part.setdefault(row.part, []).append(row)
    return Found(
        where=where,
        parts={part: _samples(rows, names, reader.columns) for part, rows in by_part.items()},
        label_names=names,
        task="single" if reader.columns.label_delimiter is None else "multilabel",
        notes=notes,
    )


def _check_tables(tables: Mapping[str, str], split_column: str | None) -> None:
    if not tables:
        raise DataError("No table is named. Set data.path=FILE, or data.train=FILE, or data.test=FILE.")
    if "all" in tables and len(tables) > 1:
        raise DataError("data.path is one table for all splits; data.train, data.val and data.test are one each.")
    if "all" not in tables and split_column is not None:
        raise DataError(f"data.split_column={split_column} belongs to data.path, not to a table for each split.")


def _samples(rows: Sequence[Row], names: Sequence[str], columns: Columns) -> Samples:
    index_of = {name: index for index, name in enumerate(names)}
    labels: NDArray[np.int64] | NDArray[np.uint8]
    if columns.label_delimiter is None:
        labels = np.array([index_of[row.labels[0]] if row.labels else -1 for row in rows], dtype=np.int64)
    else:
        labels = np.zeros((len(rows), len(names)), dtype=np.uint8)
        for sample, row in enumerate(rows):
            labels[sample, [index_of[label] for label in row.labels]] = 1
    return Samples(
        names=[storable(row.path) for row in rows],
        images=FileImages([Path(row.path) for row in rows]),
        labels=labels,
        groups=None if columns.group is None else [row.group for row in rows],
        columns={name: _column([row.metadata[name] for row in rows]) for name in rows[0].metadata} if rows else {},
    )


def _column(texts: Sequence[str]) -> Column:
    """Return numbers where every text that is not empty is a number, texts otherwise."""
    try:
        numbers = [float(text) if text else float("nan") for text in texts]
    except ValueError:
        return [storable(text) for text in texts]
    is_number = any(texts) and all(
        math.isfinite(number) or not text for number, text in zip(numbers, texts, strict=True)
    )
    return np.array(numbers) if is_number else [storable(text) for text in texts]
