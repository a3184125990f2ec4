"""Shortcuts: classes that can be predicted from size, format, colour mode, border or file size alone."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imgrec.auditing.dataset_checks.properties import Property, file_properties
from imgrec.auditing.dataset_checks.statistics import Severity
from imgrec.auditing.scan.facts import FactsTable
from imgrec.core.keyed_random import shuffled

__all__ = ["Shortcut", "shortcuts"]

MAX_P = 0.01  # after Bonferroni's correction for all properties and classes
MIN_IMAGES = 20  # of the class, and of the other classes
NUM_FOLDS = 5
NUM_PERMUTATIONS = 100
NUM_BINS = 12
NUM_VALUES = 12  # of a category; rarer ones are merged
SAMPLE_SIZE = 20_000  # images

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Shortcut:
    """A property of files or pixels that predicts a class by itself.

    Attributes:
        property: Name of one of `file_properties`.
        label: Class index.
        accuracy: Cross-validated balanced accuracy of this class against all others; 0.5 is chance.
        p_value: Under shuffled labels, Bonferroni-corrected for all properties and classes.
        share_in_class: Share of the class for which the rule in `text` holds.
        share_in_others: The same share of the other images.
        rows: Examples from the class.
        severity: info for properties of the content, and for file extensions, which no model sees but which show that
            classes come from different sources; warning for the rest.
    """

    property: str
    label: int
    accuracy: float
    p_value: float
    share_in_class: float
    share_in_others: float
    rows: tuple[int, ...]
    severity: Severity
    text: str


def shortcuts(facts: FactsTable, *, seed: int = 1) -> list[Shortcut]:
    """Return the properties that predict a class, the strongest first.

    Each property is binned into at most 12 intervals or values. Which bins indicate the class is learned from four
    fifths of the images and tested on the rest, five times. Reported are balanced accuracies above 0.65 (0.8 for a
    border; 0.9 for brightness, contrast, sharpness and colour, which may be the content, and for file sizes), unless
    shuffled labels reach the same (100 permutations, normal tail, Bonferroni; p above 0.01). Of properties that measure
    the same (width, height, aspect ...) the strongest is reported, and no file size next to a size or a format. Classes
    with fewer than 20 images are excluded. Of two classes, the one for which the rule mostly holds is named.
    """
    rows = np.flatnonzero(facts.is_usable & (facts.label >= 0))
    if len(rows) > SAMPLE_SIZE:
        rows = np.sort(rows[shuffled(len(rows), seed)[:SAMPLE_SIZE]])
    labels = facts.label[rows]
    counts = np.bincount(labels, minlength=len(facts.class_names))
    enough = np.flatnonzero((counts >= MIN_IMAGES) & (len(rows) - counts >= MIN_IMAGES))
    if len(enough) == 0:
        return []
    properties = [item for item in file_properties(facts, rows) if len(np.unique(item.values)) > 1]
    num_tests = len(properties) * len(enough)
    found: dict[tuple[str, int], Shortcut] = {}
    for item in properties:
        for shortcut in _of_property(facts, item, rows, labels, enough, num_tests=num_tests, seed=seed):
            key = (item.family, -1 if len(enough) == 2 else shortcut.label)
            if key not in found or _strength(shortcut) > _strength(found[key]):
                found[key] = shortcut
    explained = {label for family, label in found if family in ("size", "format")}  # file sizes follow from both
    kept = [one for (family, label), one in found.items() if family != "bytes" or label not in explained]
    return sorted(kept, key=lambda one: (one.severity == "info", -one.accuracy, one.property, one.label))


def _strength(shortcut: Shortcut) -> tuple[float, float]:
    return round(shortcut.accuracy, 6), abs(shortcut.share_in_class - shortcut.share_in_others)


def _of_property(
    facts: FactsTable,
    item: Property,
    rows: IntArray,
    labels: IntArray,
    classes: IntArray,
    *,
    num_tests: int,
    seed: int,
) -> Iterator[Shortcut]:
    bins = _category_bins(item.values) if item.is_category else _number_bins(item.values.astype(float))
    rng = np.random.default_rng(seed)
    fold = rng.permutation(len(rows)) % NUM_FOLDS
    num_classes = len(facts.class_names)
    accuracies = held_out_accuracies(bins, labels, fold, num_classes=num_classes)
    if not (accuracies[classes] > item.limit).any():
        return
    shuffled = [
        held_out_accuracies(bins, rng.permutation(labels), fold, num_classes=num_classes)
        for _ in range(NUM_PERMUTATIONS)
    ]
    for label in classes[accuracies[classes] > item.limit]:
        chance = np.array([accuracy[label] for accuracy in shuffled])
        p_value = _p_value(accuracies[label], chance, num_tests=num_tests)
        if p_value <= MAX_P:
            yield _describe(facts, item, rows, labels == label, int(label), float(accuracies[label]), p_value)


def _number_bins(values: FloatArray) -> IntArray:
    """Bin numbers into at most 12 intervals with as equal counts as ties allow."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, NUM_BINS + 1)[1:-1]))
    # Both sides: a value that many images share gets an interval of its own.
    return np.searchsorted(edges, values, side="left") + np.searchsorted(edges, values, side="right")


def _category_bins(values: NDArray[np.generic]) -> IntArray:
    frequent = [value for value, _ in Counter(values.tolist()).most_common(NUM_VALUES)]
    number = {value: place for place, value in enumerate(frequent)}
    return np.array([number.get(value, NUM_VALUES) for value in values.tolist()], dtype=np.int64)


def held_out_accuracies(bins: IntArray, labels: IntArray, fold: IntArray, *, num_classes: int) -> FloatArray:
    """Return the cross-validated balanced accuracy of each class against all others, float64 (C,).

    A bin indicates the class if, outside the fold, it has a larger share of the class than of the others.
    """
    num_bins = int(bins.max()) + 1
    place = (fold * num_bins + bins) * num_classes + labels
    counts = np.bincount(place, minlength=NUM_FOLDS * num_bins * num_classes)
    inside = counts.reshape(NUM_FOLDS, num_bins, num_classes).astype(float)  # images by fold, bin and class
    outside = inside.sum(axis=0) - inside
    is_indicated = _class_shares(outside) > _class_shares(outside.sum(axis=2, keepdims=True) - outside)
    others = inside.sum(axis=2, keepdims=True) - inside
    hits = (inside * is_indicated).sum(axis=(0, 1)) / np.maximum(inside.sum(axis=(0, 1)), 1)
    false = (others * is_indicated).sum(axis=(0, 1)) / np.maximum(others.sum(axis=(0, 1)), 1)
    balanced: FloatArray = (hits + 1 - false) / 2
    return balanced


def _class_shares(counts: FloatArray) -> FloatArray:
    shares: FloatArray = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return shares


def _p_value(accuracy: float, chance: FloatArray, *, num_tests: int) -> float:
    """Return the corrected p-value, by a normal distribution fitted to the accuracies under shuffling."""
    from scipy.stats import norm

    deviation = max(float(chance.std(ddof=1)), 1e-6)
    return min(1.0, num_tests * float(norm.sf((accuracy - chance.mean()) / deviation)))


def _describe(
    facts: FactsTable,
    item: Property,
    rows: IntArray,
    is_class: NDArray[np.bool_],
    label: int,
    accuracy: float,
    p_value: float,
) -> Shortcut:
    """Return the most predictive value or interval, for the class or, with two classes, for the other one."""
    holds, rule = item.best_rule(is_class)
    if len(facts.class_names) == 2 and holds[is_class].mean() < holds[~is_class].mean():
        label, is_class = 1 - label, ~is_class
    inside, others = float(holds[is_class].mean()), float(holds[~is_class].mean())
    of_class = f"all {is_class.sum()}" if inside == 1 else f"{inside:.0%} of the {is_class.sum()}"
    of_class = of_class if inside >= others else f"only {of_class}"
    text = f"{of_class} images of {facts.class_names[label]} {rule}; of the others {_percent(others)}"
    examples = tuple(int(row) for row in rows[holds & is_class][:3])
    return Shortcut(item.name, label, accuracy, p_value, inside, others, examples, item.severity, text)


def _percent(share: float) -> str:
    return "none" if share == 0 else "all" if share == 1 else f"{share:.0%}" if share >= 0.01 else "fewer than 1%"
