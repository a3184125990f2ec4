"""From what a source found to the splits of a run: one class list, missing splits drawn, notes on what is odd."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np

from imgrec.core.text import listed
from imgrec.data.samples import Note, Samples, Splits, Task, count_classes
from imgrec.data.splits.split import split_indices
from imgrec.errors import DataError, did_you_mean

SPLIT_OF: Mapping[str, str] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
"""What folders and tables call the three splits, in small letters."""


@dataclass(frozen=True)
class Found:
    """What a source found, before missing splits are drawn.

    Args:
        where: Name of the source in messages, such as `data.root=photos`.
        parts: Samples by split, "train", "val" and "test" as far as the source defines them, or "all" for unsplit data.
        label_names: Name of label i, the same in all parts.
        class_names: Class list, where the source defines one; None = the labels that occur in training.
        task: "single" or "multilabel".
        notes: Notes of the source.
        hint: Advice on labels that the class list lacks.
    """

    where: str
    parts: Mapping[str, Samples]
    label_names: Sequence[str]
    class_names: Sequence[str] | None = None
    task: Task = "single"
    notes: Sequence[Note] = ()
    hint: str = ""


def assemble(
    found: Found, *, class_names: Sequence[str] | None, val_fraction: float, test_fraction: float, seed: int
) -> Splits:
    """Draw the splits that are missing, and map all labels to one class list.

    Args:
        found: What the source found.
        class_names: Class list of a checkpoint, which overrides the source's own.
        val_fraction: Share of unsplit data for validation, 0 to 1; of the training split, where it has a test but no
            validation split. 0 makes no such split.
        test_fraction: Share of unsplit data for the test; with a sum of 1, none is left for training.
        seed: Seed of the split.

    Raises:
        DataError: One class only, labels outside the class list, or too few images to split.
    """
    names = list(class_names or found.class_names or _names_in_training(found))
    if len(names) < (2 if found.task == "single" else 1):
        what = f"one class only ({listed(names)})" if names else "no labels"
        raise DataError(f"{found.where}: {what}. A classifier needs two classes or more.")
    taught_by = "the model" if class_names else "the training data" if _training_part(found) else "the class list"
    parts = {
        part: _relabel(samples, part=part, found=found, names=names, taught_by=taught_by)
        for part, samples in found.parts.items()
    }
    splits = _split(parts, val_fraction=val_fraction, test_fraction=test_fraction, seed=seed)
    notes = [*found.notes, *split_notes(splits, names)]
    return Splits(class_names=names, task=found.task, notes=tuple(notes), is_unsplit="all" in found.parts, **splits)


def sort_names(names: Iterable[str]) -> list[str]:
    """Sort class names: by value where all are whole numbers, so that 10 comes after 9, otherwise as text."""
    distinct = set(names)
    try:
        return sorted(distinct, key=lambda name: (int(name), name))
    except ValueError:
        return sorted(distinct)


def storable(name: str) -> str:
    """Return a name that can be stored as UTF-8: other bytes become escapes."""
    return name if name.isascii() else name.encode("utf-8", "backslashreplace").decode("utf-8")


def check_folder(key: str, path: str) -> None:
    """Check that the folder of `data.<key>` exists.

    Raises:
        DataError: It does not; with the nearest name in the last folder that does.
    """
    if not path:
        raise DataError(f"data.{key}={path!r} is empty. Name a folder.")
    if Path(path).is_dir():
        return
    if Path(path).exists():
        raise DataError(f"data.{key}={path} is a file. Name a folder; for a table of labels, use data=table.")
    missing = Path(path)
    while not missing.parent.is_dir():
        missing = missing.parent
    near = did_you_mean(missing.name, sorted(entry.name for entry in missing.parent.iterdir()))
    raise DataError(f"data.{key}={path}: no folder '{missing.name}' in {missing.parent.absolute()}.{near}")


# The class list


def _training_part(found: Found) -> str | None:
    return next((part for part in ("all", "train") if part in found.parts), None)


def _names_in_training(found: Found) -> list[str]:
    training = _training_part(found)
    parts = found.parts.values() if training is None else [found.parts[training]]
    used = np.zeros(len(found.label_names), dtype=bool)
    for samples in parts:
        used |= count_classes(samples.labels, len(used)) > 0
    return [name for name, is_used in zip(found.label_names, used, strict=True) if is_used]


def _relabel(samples: Samples, *, part: str, found: Found, names: Sequence[str], taught_by: str) -> Samples:
    """Return the samples with labels that index `names`."""
    if list(found.label_names) == names:
        return samples
    index_of = {name: index for index, name in enumerate(names)}
    new = np.array([index_of.get(name, -1) for name in found.label_names], dtype=np.int64)
    used = count_classes(samples.labels, len(new)) > 0
    if unknown := [found.label_names[int(i)] for i in np.flatnonzero(used & (new < 0))]:
        raise DataError(
            f"{found.where}: {'' if part == 'all' else part + ' '}labels that {taught_by} does not know: "
            f"{listed(unknown)}.{did_you_mean(unknown[0], names)} Known: {listed(names)}. "
            f"{found.hint or 'Rename or remove them.'}"
        )
    if samples.labels.ndim == 1:
        return replace(samples, labels=new[samples.labels])
    columns = np.zeros((len(samples), len(names)), dtype=np.uint8)
    columns[:, new[new >= 0]] = samples.labels[:, new >= 0]
    return replace(samples, labels=columns)


# The splits


def _split(parts: Mapping[str, Samples], *, val_fraction: float, test_fraction: float, seed: int) -> dict[str, Samples]:
    if "all" in parts:
        whole, fractions = parts["all"], _fractions(val_fraction, test_fraction)
    elif "train" in parts and "val" not in parts and val_fraction > 0:
        whole, fractions = parts["train"], _fractions(val_fraction, 0.0)
    else:
        return {name: parts[name] for name in ("train", "val", "test") if name in parts}
    indices = split_indices(whole.labels, fractions=fractions, seed=seed, groups=whole.groups)
    drawn = {name: whole.subset(indices[name]) for name in fractions if len(indices[name])}
    return drawn | ({"test": parts["test"]} if "test" in parts else {})


def _fractions(val_fraction: float, test_fraction: float) -> dict[str, float]:
    train_fraction = 1 - val_fraction - test_fraction
    if min(val_fraction, test_fraction) < 0 or train_fraction < -1e-9:
        raise DataError(
            f"data.val_fraction={val_fraction:g}, data.test_fraction={test_fraction:g}: each must be 0 or more, and "
            f"their sum at most 1."
        )
    return {"train": max(round(train_fraction, 9), 0.0), "val": val_fraction, "test": test_fraction}


# Notes on splits


def split_notes(splits: Mapping[str, Samples], class_names: Sequence[str]) -> list[Note]:
    """Return notes on classes without samples in a split, and on groups that are in two splits."""
    return [*_missing_classes(splits, class_names), *_leaking_groups(splits)]


def _missing_classes(splits: Mapping[str, Samples], class_names: Sequence[str]) -> Iterator[Note]:
    for part, samples in splits.items():
        counts = count_classes(samples.labels, len(class_names))
        if missing := [name for name, count in zip(class_names, counts, strict=True) if count == 0]:
            effect = "the model cannot learn them" if part == "train" else "their metrics there are undefined"
            yield Note("missing_class", f"No {part} images of {listed(missing)}: {effect}.")


def _leaking_groups(splits: Mapping[str, Samples]) -> Iterator[Note]:
    groups = {part: set(samples.groups) for part, samples in splits.items() if samples.groups is not None}
    for one, other in combinations(groups, 2):
        if shared := sorted(groups[one] & groups[other]):
            text = f"Groups in both {one} and {other}: {listed(shared)}: metrics on {other} may be too good."
            yield Note("leaking_groups", text)
