"""The cleaned table that a plan makes of the data, in the form that `data=table` reads."""

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgrec.auditing.output.plan_file import Decision
from imgrec.auditing.scan.scan import file_path
from imgrec.core.files.csv_cell import is_formula
from imgrec.core.text import listed, printable
from imgrec.data.samples import Samples, Task
from imgrec.errors import DataError

__all__ = ["CleanTable", "clean_table"]

JSON_LINES = (".jsonl", ".ndjson")
_DELIMITERS = ";|\t"  # between several labels of an image


@dataclass(frozen=True)
class CleanTable:
    """A table in the form that `data=table` reads.

    Attributes:
        content: Bytes of the file.
        counts: Outcome ("kept", "removed", ...) to number of images.
        overrides: What `train` needs besides data.path to read it.
    """

    content: bytes
    counts: Mapping[str, int]
    overrides: Sequence[str]


@dataclass(frozen=True)
class _Row:
    path: str
    labels: tuple[str, ...]
    split: str
    group: str


def clean_table(
    splits: Mapping[str, Samples],
    *,
    class_names: Sequence[str],
    task: Task,
    decisions: Sequence[Decision],
    output: Path,
) -> CleanTable:
    """Return the table that `decisions` make of the images of `splits`, to be written to `output`.

    Columns: path (relative if the image is below the table's folder, absolute otherwise), label, split if the data has
    splits, group if the data or the plan has groups. Groups of the data and of the plan that share an image are merged.

    Raises:
        DataError: Images that are not in files, or have no label; names that CSV cannot hold.
    """
    by_row = {decision.row: decision for decision in decisions}
    names = _group_names(splits, by_row)
    rows = list(_rows(splits, class_names=class_names, by_row=by_row, groups=names, folder=output.parent))
    unlabelled = [row.path for row in rows if not row.labels]
    if unlabelled and task == "single":
        raise DataError(
            f"{len(unlabelled)} images have no label: {listed(unlabelled, limit=4)}. Nothing was written. A table for "
            "training needs a label for each: move them into class folders, or write relabel or remove in the plan."
        )
    columns = {"path": "path", "label": "label"}
    columns |= {"split": "split"} if list(splits) != ["all"] else {}
    columns |= {"group": "group"} if names is not None else {}
    delimiter = next((sign for sign in _DELIMITERS if not any(sign in name for name in class_names)), _DELIMITERS[0])
    is_json = output.suffix.lower() in JSON_LINES
    records = [
        {
            "path": row.path,
            "label": list(row.labels) if is_json and task == "multilabel" else delimiter.join(row.labels),
            "split": row.split,
            "group": row.group,
        }
        for row in rows
    ]
    kept = [{column: record[column] for column in columns} for record in records]
    overrides = [f"data.{column}_column={column}" for column in ("split", "group") if column in columns]
    overrides += [f"data.label_delimiter={delimiter!r}"] if task == "multilabel" else []
    return CleanTable(_to_json(kept) if is_json else _to_csv(kept, output), _counts(splits, by_row), overrides)


def _rows(
    splits: Mapping[str, Samples],
    *,
    class_names: Sequence[str],
    by_row: Mapping[int, Decision],
    groups: Mapping[int, str] | None,
    folder: Path,
) -> Iterator[_Row]:
    row = -1
    for split, samples in splits.items():
        for index, labels in enumerate(samples.labels):
            row += 1
            decision = by_row.get(row)
            if decision is not None and decision.action == "remove":
                continue
            given = [int(labels)] if samples.labels.ndim == 1 else [i for i, is_set in enumerate(labels) if is_set]
            if decision is not None and decision.action == "relabel":
                given = [decision.new_label]
            path = file_path(samples.images, index)
            if path is None:
                raise DataError(
                    f"{printable(samples.names[index])} is not a file of its own, so no table can name it. A plan can "
                    "be applied to folders and tables."
                )
            yield _Row(
                path=_table_path(path, folder),
                labels=tuple(class_names[label] for label in given if label >= 0),
                split=decision.new_split if decision is not None and decision.action == "move" else split,
                group="" if groups is None else groups[row],
            )


def _table_path(path: Path, folder: Path) -> str:
    """Return a path for the table; one that a spreadsheet would run as a formula begins with "./"."""
    absolute, start = os.path.abspath(path), os.path.join(os.path.abspath(folder), "")  # noqa: PTH100, PTH118
    text = absolute.removeprefix(start).replace(os.sep, "/")
    return f"./{text}" if is_formula(text) or text != text.lstrip() else text


def _group_names(splits: Mapping[str, Samples], by_row: Mapping[int, Decision]) -> dict[int, str] | None:
    """Return a group for every row; None if neither the data nor the plan has any.

    Groups of the data and of the plan that share an image are merged. An image in no group is a group of its own.
    """
    given = [group for part in splits.values() for group in part.groups or [""] * len(part)]
    planned = [by_row[row].group if row in by_row else "" for row in range(len(given))]
    if not any(given) and not any(planned):
        return None
    from imgrec.auditing.labels.folds import unite

    units = unite(given, planned, count=len(given)).tolist()
    names: dict[int, str] = {}
    for row, unit in enumerate(units):  # the data's own name first, then the plan's
        if given[row] or unit not in names:
            names.setdefault(unit, given[row] or planned[row] or f"alone-{row:06d}")
    return {row: names[unit] for row, unit in enumerate(units)}


def _counts(splits: Mapping[str, Samples], by_row: Mapping[int, Decision]) -> dict[str, int]:
    outcomes = {"remove": "removed", "relabel": "relabelled", "move": "moved", "review": "still to review (unchanged)"}
    found = {outcome: sum(one.action == action for one in by_row.values()) for action, outcome in outcomes.items()}
    return {"kept": sum(len(part) for part in splits.values()) - found["removed"], **found}


# The file


def _to_json(records: Sequence[Mapping[str, object]]) -> bytes:
    return "".join(f"{json.dumps(record)}\n" for record in records).encode("ascii")


def _to_csv(records: Sequence[Mapping[str, object]], output: Path) -> bytes:
    """Return CSV.

    Raises:
        DataError: Values that are not Unicode, end in a space, or would be run as a formula.
    """
    values = {str(value) for record in records for value in record.values()}
    refused = sorted(value for value in values if not _is_unicode(value) or value != value.strip() or is_formula(value))
    if refused:
        raise DataError(
            f"CSV cannot hold {len(refused)} of the names safely (not Unicode, a space at the end, or a formula for a "
            f"spreadsheet): {listed(refused, limit=4)}. Nothing was written. Use JSON lines: "
            f"--output {output.stem}.jsonl"
        )
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(records[0]) if records else ["path", "label"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue().encode("utf-8")


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
