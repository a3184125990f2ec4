"""Brings the tables of several runs into the same order of images and classes, for a paired comparison."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from imgrec.core.text import listed, printable
from imgrec.data.splits.split_changes import common_folder
from imgrec.errors import DataError
from imgrec.evaluation.compare.runs import Run
from imgrec.evaluation.predictions.predictions import Predictions

__all__ = ["Aligned", "align"]

SHOWN = 5


@dataclass(frozen=True)
class Aligned:
    """Runs with their tables in the order of the first one, and notes on how they were matched."""

    runs: list[Run]
    notes: list[str]


def align(runs: Sequence[Run]) -> Aligned:
    """Bring all tables into the order of the first. Images are matched by path.

    If a folder has moved, paths are matched below the common folder of each table.

    Raises:
        DataError: Different images, labels, classes or tasks; the message names them.
    """
    first = runs[0].tables[0]
    notes: list[str] = []
    aligned = []
    for run in runs:
        tables = []
        for table, path in zip(run.tables, run.paths, strict=True):
            about = run.name if len(run.tables) == 1 else f"{run.name} ({path})"
            tables.append(_match(first, table, names=(runs[0].name, about), notes=notes))
        aligned.append(Run(run.name, tables, run.paths))
    return Aligned(aligned, list(dict.fromkeys(notes)))


def _match(first: Predictions, other: Predictions, *, names: tuple[str, str], notes: list[str]) -> Predictions:
    if other is first:
        return first
    _check_task(first, other, names)
    columns = np.array([list(other.class_names).index(name) for name in first.class_names])
    rows = _match_rows(first, other, names=names, notes=notes)
    labels = other.labels[rows]
    if other.task == "multilabel":
        labels = labels[:, columns]
    else:
        place = np.empty(len(columns), dtype=np.int64)
        place[columns] = np.arange(len(columns))
        labels = place[labels]
    _check_labels(first, labels, names)
    if other.groups is not None and first.groups is None:
        notes.append(f"{names[1]} has groups and {names[0]} does not: the groups are not used.")
    return replace(
        other,
        names=first.names,
        labels=labels,
        logits=other.logits[np.ix_(rows, columns)],
        class_names=first.class_names,
        groups=first.groups,
        columns={},  # in the order of the old rows, and not compared
    )


def _check_task(first: Predictions, other: Predictions, names: tuple[str, str]) -> None:
    if first.task != other.task:
        raise DataError(f"{names[0]} has the task {first.task}, {names[1]} has {other.task}: they cannot be compared.")
    missing = [name for name in first.class_names if name not in other.class_names]
    added = [name for name in other.class_names if name not in first.class_names]
    if missing or added:
        raise DataError(
            f"{names[0]} and {names[1]} have different classes. Only {names[0]}: {_list(missing)}. "
            f"Only {names[1]}: {_list(added)}."
        )


def _match_rows(first: Predictions, other: Predictions, *, names: tuple[str, str], notes: list[str]) -> np.ndarray:
    """Return (N,): for each image of `first` its row in `other`."""
    ours, theirs = list(first.names), list(other.names)
    if ours == theirs:
        return np.arange(len(ours))
    for about, paths in zip(names, (ours, theirs), strict=True):
        _check_unique(about, paths)
    if set(ours) != set(theirs):
        below = common_folder(ours), common_folder(theirs)
        moved = [path[len(below[0]) :] for path in ours], [path[len(below[1]) :] for path in theirs]
        if set(moved[0]) != set(moved[1]):
            raise _difference(ours, theirs, names) if set(ours) & set(theirs) else _difference(*moved, names)
        ours, theirs = moved
        notes.append(
            f"Images are matched by their paths below {printable(below[0]) or '.'} ({names[0]}) and "
            f"{printable(below[1]) or '.'} ({names[1]})."
        )
    rows = {path: row for row, path in enumerate(theirs)}
    return np.array([rows[path] for path in ours])


def _check_unique(about: str, paths: Sequence[str]) -> None:
    if len(set(paths)) < len(paths):
        seen: set[str] = set()
        doubled = next(path for path in paths if path in seen or seen.add(path))  # type: ignore[func-returns-value]
        raise DataError(f"{about} contains {printable(doubled)} twice: its images cannot be matched by path.")


def _difference(ours: Sequence[str], theirs: Sequence[str], names: tuple[str, str]) -> DataError:
    only = sorted(set(ours) - set(theirs)), sorted(set(theirs) - set(ours))
    parts = [
        f"only in {name} ({len(paths):,}): {_list(paths)}" for name, paths in zip(names, only, strict=True) if paths
    ]
    return DataError(
        f"{names[0]} and {names[1]} were evaluated on different images: {len(set(ours) & set(theirs)):,} in both; "
        f"{'; '.join(parts)}. Evaluate both on the same data: evaluate.py checkpoint=... data=... split=..."
    )


def _check_labels(first: Predictions, labels: np.ndarray, names: tuple[str, str]) -> None:
    differs = np.flatnonzero((first.labels != labels).reshape(len(labels), -1).any(axis=1))
    if len(differs):
        shown = _list([first.names[row] for row in differs.tolist()])
        raise DataError(
            f"{len(differs):,} of {len(labels):,} images have a different label in {names[1]} and {names[0]}: "
            f"{shown}. Evaluate both on the same data."
        )


def _list(texts: Sequence[str]) -> str:
    return listed(texts, limit=SHOWN) or "none"
