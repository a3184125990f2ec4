"""Split a data set as a split file defines it, if it is still the data set that the file was made for."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from imgrec.data.samples import SPLITS, Note, Splits
from imgrec.data.splits.folds import assign, check_fold
from imgrec.data.splits.join import pool
from imgrec.data.splits.split_changes import find_changes, label_texts, relative_names
from imgrec.data.splits.split_format import SplitFile, read_split_file
from imgrec.errors import ConfigError, DataError

__all__ = ["apply_split_file", "describe"]


def apply_split_file(splits: Splits, *, file: Path, fold: int | None) -> Splits:
    """Split all samples of a data set, whatever splits they came in, as a split file defines it.

    Args:
        splits: The data set.
        file: The split file.
        fold: Fold that is the test, 0 to repeats * folds - 1; None for a file without folds.

    Raises:
        ConfigError: The fold is missing, out of range, or given for a file without folds.
        DataError: The file cannot be read, or was made for other data; the message lists what changed.
    """
    found = read_split_file(file)
    column = _column(found, file=file, fold=fold)
    whole = pool((splits.train, splits.val, splits.test))
    names = relative_names(whole.names, found.names)
    labels = label_texts(whole, splits.class_names)
    if names != found.names or labels != found.labels or set(splits.class_names) != set(found.class_names):
        _refuse_changes(found, file, dict(zip(names, labels, strict=True)), splits.class_names)
        order = np.argsort(np.array(names, dtype=object), kind="stable")  # the same samples, listed in another order
        whole = whole.subset(order)
    if whole.groups is None and any(found.groups):
        whole = replace(whole, groups=[group or name for group, name in zip(found.groups, found.names, strict=True)])
    like = replace(splits, notes=(*splits.notes, *_edit_note(found, file)))
    return assign(whole, found.sides[:, column], like=like)


def _column(found: SplitFile, *, file: Path, fold: int | None) -> int:
    count = found.sides.shape[1]
    if found.folds == 0:
        if fold is not None:
            raise ConfigError(
                f"data.fold={fold}, but {file} holds one split and no folds. Remove data.fold, or make folds: "
                f"{_command(found, file)} --folds 5"
            )
        return 0
    if fold is None:
        every = ",".join(str(number) for number in range(count))
        raise ConfigError(
            f"{file} holds {count} folds. Choose the one to test on, data.fold=0, or all: -m data.fold={every}"
        )
    check_fold(fold, folds=count)
    return fold


def _refuse_changes(found: SplitFile, file: Path, now: Mapping[str, str], class_names: Sequence[str]) -> None:
    before = dict(zip(found.names, found.labels, strict=True))
    changes = find_changes(before, now, classes_before=found.class_names, classes_now=class_names)
    if changes:
        raise DataError(
            f"{file} was made for other data ({len(found.names)} images; now {len(now)}). {changes}. "
            f"Make a new one: {_command(found, file)}   (data.splits=null data.fold=null: without a split file)"
        )


def _command(found: SplitFile, file: Path) -> str:
    return found.command or f"imgrec split DATA --output {file}"


def _edit_note(found: SplitFile, file: Path) -> list[Note]:
    return [Note("edited", f"{file} was edited after it was written.")] if found.is_edited else []


def describe(file: Path) -> dict[str, Any]:
    """Return what a checkpoint stores of a split file, as plain values; `train_sizes` and others count per fold.

    Raises:
        DataError: The file cannot be read.
    """
    found = read_split_file(file)
    sizes = {name: np.count_nonzero(found.sides == side, axis=0).tolist() for side, name in enumerate(SPLITS)}
    return {
        "file": str(file),
        "digest": found.digest,
        "is_edited": found.is_edited,
        "fingerprint": found.fingerprint,
        "seed": found.seed,
        "rule": dict(found.rule),
        "folds": found.folds,
        "repeats": found.repeats,
        "train_sizes": sizes["train"],
        "val_sizes": sizes["val"],
        "test_sizes": sizes["test"],
    }
