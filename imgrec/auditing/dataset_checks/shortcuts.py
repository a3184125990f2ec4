"""Classes that can be told without looking: by size, format, colour mode, border or file size alone."""

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
MIN_IMAGES = 20  # of a class, and beside it: fewer prove nothing
NUM_FOLDS = 5
NUM_PERMUTATIONS = 100
NUM_BINS = 12
NUM_VALUES = 12  # that a category keeps; the rarer ones are one value
SAMPLE_SIZE = 20_000  # images that are looked at

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Shortcut:
    """A property of files or pixels that tells a class from the others by itself.

    property: the name of one of `file_properties`. label: the class index.
    accuracy: balanced, of "is it this class?", cross-validated: 0.5 is guessing. p_value: that it is chance, corrected
        for all that was tried.
    share_in_class, share_in_others: of images of which `text` says it. rows: examples from the class.
    severity: info for what may be the content, and for name endings, which no network sees but which say that classes
        come from different places; warning for the rest.
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
    """Return the properties that tell a class from all others, the strongest first.

    Each property is cut into at most 12 intervals or values. Which of them speak for the class is learnt from four
    fifths of the images and tried on the rest, five times. Reported are balanced accuracies above 0.65 (0.8 for a
    border; 0.9 for brightness, contrast, sharpness, colour, which may be the content, and for file sizes), unless
    shuffled labels reach the same (100 permutations, normal tail, Bonferroni; p above 0.01). Of properties that say the
    same (width, height, aspect ...) the strongest is reported, and no file size beside a size or a format. Classes with
    fewer than 20 images are left out. Of two classes, the one that most of what is said holds for is named.
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


# How well one property tells


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
            yield _in_words(facts, item, rows, labels == label, int(label), float(accuracies[label]), p_value)


def _number_bins(values: FloatArray) -> IntArray:
    """Cut numbers into at most 12 intervals with as many images each as equal values allow."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, NUM_BINS + 1)[1:-1]))
    # Both sides: a value that many images share is an interval by itself.
    return np.searchsorted(edges, values, side="left") + np.searchsorted(edges, values, side="right")


def _category_bins(values: NDArray[np.generic]) -> IntArray:
    frequent = [value for value, _ in Counter(values.tolist()).most_common(NUM_VALUES)]
    number = {value: place for place, value in enumerate(frequent)}
    return np.array([number.get(value, NUM_VALUES) for value in values.tolist()], dtype=np.int64)


def held_out_accuracies(bins: IntArray, labels: IntArray, fold: IntArray, *, num_classes: int) -> FloatArray:
    """Return the cross-validated balanced accuracy of each class against all others, float64 (C,).

    A bin speaks for the class if it holds a larger share of the class than of the others, outside the fold.
    """
    num_bins = int(bins.max()) + 1
    place = (fold * num_bins + bins) * num_classes + labels
    counts = np.bincount(place, minlength=NUM_FOLDS * num_bins * num_classes)
    inside = counts.reshape(NUM_FOLDS, num_bins, num_classes).astype(float)  # images by fold, bin and class
    outside = inside.sum(axis=0) - inside
    says_yes = _share(outside) > _share(outside.sum(axis=2, keepdims=True) - outside)
    others = inside.sum(axis=2, keepdims=True) - inside
    hits = (inside * says_yes).sum(axis=(0, 1)) / np.maximum(inside.sum(axis=(0, 1)), 1)
    false = (others * says_yes).sum(axis=(0, 1)) / np.maximum(others.sum(axis=(0, 1)), 1)
    balanced: FloatArray = (hits + 1 - false) / 2
    return balanced


def _share(counts: FloatArray) -> FloatArray:
    shares: FloatArray = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return shares


def _p_value(accuracy: float, chance: FloatArray, *, num_tests: int) -> float:
    """Return the corrected probability of such an accuracy by chance, from the mean and deviation under shuffling."""
    from scipy.stats import norm

    deviation = max(float(chance.std(ddof=1)), 1e-6)
    return min(1.0, num_tests * float(norm.sf((accuracy - chance.mean()) / deviation)))


# In words


def _in_words(
    facts: FactsTable,
    item: Property,
    rows: IntArray,
    is_class: NDArray[np.bool_],
    label: int,
    accuracy: float,
    p_value: float,
) -> Shortcut:
    """Find the value or interval that says most, for the class or, with two classes, for the other one."""
    holds, words = item.best_rule(is_class)
    if len(facts.class_names) == 2 and holds[is_class].mean() < holds[~is_class].mean():
        label, is_class = 1 - label, ~is_class
    inside, others = float(holds[is_class].mean()), float(holds[~is_class].mean())
    of_class = f"all {is_class.sum()}" if inside == 1 else f"{inside:.0%} of the {is_class.sum()}"
    of_class = of_class if inside >= others else f"only {of_class}"
    text = f"{of_class} images of {facts.class_names[label]} {words}; of the others {_share_words(others)}"
    examples = tuple(int(row) for row in rows[holds & is_class][:3])
    return Shortcut(item.name, label, accuracy, p_value, inside, others, examples, item.severity, text)


def _share_words(share: float) -> str:
    return "none" if share == 0 else "all" if share == 1 else f"{share:.0%}" if share >= 0.01 else "fewer than 1%"
