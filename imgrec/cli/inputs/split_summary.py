"""Summary of a split: sizes per class, the largest group, and warnings."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from imgrec.core.text import listed
from imgrec.data.samples import SPLITS, count_classes
from imgrec.data.splits.folds import Labels
from imgrec.data.splits.split import IndexArray
from imgrec.data.splits.split_format import SplitFile

__all__ = ["describe_split", "split_warnings"]

_MAX_CLASS_COLUMNS = 8
_MAX_LISTED = 8


def describe_split(split: SplitFile, labels: Labels, *, fractions: Mapping[str, float]) -> str:
    """Return a table of sizes by split and class, the largest group, and the largest deviation from `fractions`."""
    counts = _counts(split, labels)
    lines = [f"{len(split.names)} images, {len(split.class_names)} classes{_groups_text(split)}", ""]
    lines += _table(_fold_rows(split, counts) if split.folds else _part_rows(split, counts, fractions))
    return "\n".join([*lines, "", _deviation(split, counts, fractions)])


def _counts(split: SplitFile, labels: Labels) -> IndexArray:
    """Return int64 (F, 3, C): samples of each class in train, val and test of each fold."""
    num_folds, num_classes = split.sides.shape[1], len(split.class_names)
    return np.array(
        [
            [count_classes(labels[split.sides[:, fold] == side], num_classes) for side in range(len(SPLITS))]
            for fold in range(num_folds)
        ]
    ).reshape(num_folds, len(SPLITS), num_classes)


def _groups_text(split: SplitFile) -> str:
    if not any(split.groups):
        return ", no groups"
    names, sizes = np.unique([group for group in split.groups if group], return_counts=True)
    alone = sum(not group for group in split.groups)
    largest = int(np.argmax(sizes))
    return (
        f"; {len(names)} groups of two or more, {alone} images alone; largest group: {names[largest]}, "
        f"{sizes[largest]} images ({_percent(sizes[largest] / len(split.names))})"
    )


def _part_rows(split: SplitFile, counts: IndexArray, fractions: Mapping[str, float]) -> list[list[str]]:
    shown = split.class_names[:_MAX_CLASS_COLUMNS] if len(split.class_names) <= _MAX_CLASS_COLUMNS else []
    rows = [["split", "images", "share", "target", *shown]]
    sizes = [np.count_nonzero(split.sides == side) for side in range(len(SPLITS))]
    for side, part in enumerate(SPLITS):
        numbers = [str(count) for count in counts[0, side, : len(shown)]]
        share = _percent(sizes[side] / len(split.names))
        rows.append([part, str(sizes[side]), share, _percent(fractions[part]), *numbers])
    return rows


def _fold_rows(split: SplitFile, counts: IndexArray) -> list[list[str]]:
    shown = split.class_names if len(split.class_names) <= _MAX_CLASS_COLUMNS else []
    rows = [["fold", *SPLITS, *(f"test {name}" for name in shown)]]
    for fold in range(split.sides.shape[1]):
        sizes = [str(np.count_nonzero(split.sides[:, fold] == side)) for side in range(len(SPLITS))]
        numbers = [str(count) for count in counts[fold, SPLITS.index("test"), : len(shown)]]
        rows.append([str(fold), *sizes, *numbers])
    return rows


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) if place == 0 else cell.rjust(width) for place, (cell, width) in enumerate(cells))
        for cells in (list(zip(row, widths, strict=True)) for row in rows)
    ]


def _deviation(split: SplitFile, counts: IndexArray, fractions: Mapping[str, float]) -> str:
    """Return which split, and which class in which split, is furthest from its target share."""
    targets = np.array([fractions[part] for part in SPLITS])
    sizes = np.array([[np.count_nonzero(column == side) for side in range(len(SPLITS))] for column in split.sides.T])
    part = _furthest(sizes / len(split.names), targets[None, :])
    total = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    of_class = _furthest(counts / total, targets[None, :, None])
    name = split.class_names[of_class[2]]
    return (
        f"Largest deviation from the target shares: {_place(split, part)}, {_percent(sizes[part] / len(split.names))} "
        f"of the images (target {_percent(targets[part[1]])}); of one class: {_place(split, of_class)}, "
        f"{_percent(counts[of_class] / total[of_class[0], 0, of_class[2]])} of {name}."
    )


def _furthest(shares: NDArray[np.float64], targets: NDArray[np.float64]) -> tuple[int, ...]:
    off = np.abs(shares - targets)
    return tuple(int(place) for place in np.unravel_index(int(np.argmax(off)), off.shape))


def _place(split: SplitFile, place: tuple[int, ...]) -> str:
    part = SPLITS[place[1]]
    return f"{part} of fold {place[0]}" if split.folds else part


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def split_warnings(split: SplitFile, labels: Labels, *, fractions: Mapping[str, float]) -> list[str]:
    """Return warnings: classes that are not in every split, groups that are too large for a split."""
    return [
        *_rare_classes(split, labels, fractions),
        *_absent_classes(split, _counts(split, labels), fractions),
        *_large_groups(split, fractions),
    ]


def _rare_classes(split: SplitFile, labels: Labels, fractions: Mapping[str, float]) -> list[str]:
    needed = split.folds or sum(share > 0 for share in fractions.values())
    kind = "groups" if any(split.groups) else "images"
    units = np.array([group or f"\0{place}" for place, group in enumerate(split.groups)])
    rare = []
    for index, name in enumerate(split.class_names):
        has = labels == index if labels.ndim == 1 else labels[:, index] > 0
        count = len(np.unique(units[has]))
        if count < needed:
            rare.append(f"{name} ({count})")
    what = "folds" if split.folds else "splits"
    return [f"Classes with fewer {kind} than the {needed} {what}: {listed(rare, limit=_MAX_LISTED)}."] if rare else []


def _absent_classes(split: SplitFile, counts: IndexArray, fractions: Mapping[str, float]) -> list[str]:
    absent = []
    for fold, side in np.ndindex(counts.shape[:2]):
        names = [name for name, count in zip(split.class_names, counts[fold, side], strict=True) if count == 0]
        if names and fractions[SPLITS[side]] > 0:
            absent.append(f"{_place(split, (fold, side))} ({listed(names, limit=_MAX_LISTED)})")
    return [f"Without images of a class: {'; '.join(absent)}."] if absent else []


def _large_groups(split: SplitFile, fractions: Mapping[str, float]) -> list[str]:
    limit = min(share for share in fractions.values() if share > 0) * len(split.names)
    sizes = Counter(group for group in split.groups if group)
    large = [f"{group} ({size})" for group, size in sizes.most_common() if size > limit]
    if not large:
        return []
    advice = " If they are near-duplicates, --keep-duplicates exact gives smaller groups."
    return [
        f"Groups larger than the smallest split ({limit:.0f} images), so that shares deviate: "
        f"{listed(large, limit=_MAX_LISTED)}."
        f"{advice if split.rule.get('keep_duplicates') == 'near' else ''}"
    ]
