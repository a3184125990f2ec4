"""Images per class and split: class imbalance, classes with too few images, splits that differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from imgrec.auditing.scan.facts import FactsTable
from imgrec.core.text import listed

__all__ = ["Fact", "Imbalance", "Severity", "imbalance"]

Severity = Literal["error", "warning", "info"]

# From a ratio of 3, accuracy hides the small class; from 10, most losses neglect it without class weights.
NOTED_RATIO = 3.0
WARNED_RATIO = 10.0
FEW_IMAGES = 10  # of a class in training
SHIFT_SIZE = 0.1  # Cramer's V of class against split: a small effect by Cohen 1988, section 7.2
SHIFT_P = 0.001


@dataclass(frozen=True)
class Fact:
    """A finding about the data set; `rows` are images, where it is about single ones."""

    severity: Severity
    text: str
    rows: tuple[int, ...] = ()


@dataclass(frozen=True)
class Imbalance:
    """How many usable images each class has.

    Attributes:
        counts: Split to images per class, in the order of `class_names`.
        ratio: Largest class to smallest, over all splits; infinite if a class has no image.
        effective_classes: exp of the entropy of the class shares: C for C equal classes, near 1 if one dominates.
        unlabelled: Usable images without exactly one label.
        findings: The most severe first.
    """

    class_names: Sequence[str]
    counts: Mapping[str, list[int]]
    ratio: float
    effective_classes: float
    unlabelled: int
    findings: list[Fact]


def imbalance(facts: FactsTable) -> Imbalance:
    """Count the usable images per class and split.

    Findings: error: a class without an image in training, or with 1. warning: ratio of 10 or more; fewer than 10 in
    training; splits whose class shares differ (chi-square p below 0.001 and Cramer's V of 0.1 or more). info: ratio of
    3 or more; a class without an image in another split.
    """
    usable = facts.is_usable & (facts.label >= 0)
    splits = list(dict.fromkeys(facts.split))
    split = np.array(facts.split)
    num_classes = len(facts.class_names)
    counts = {name: np.bincount(facts.label[usable & (split == name)], minlength=num_classes) for name in splits}
    total = np.sum(list(counts.values()), axis=0) if counts else np.zeros(num_classes, dtype=np.int64)
    shares = total[total > 0] / max(total.sum(), 1)
    ratio = 1.0 if not total.any() else float(total.max() / total.min()) if total.min() > 0 else np.inf
    findings = [] if not total.any() else _imbalance_findings(facts.class_names, counts, total, ratio)
    return Imbalance(
        class_names=facts.class_names,
        counts={name: [int(number) for number in of_split] for name, of_split in counts.items()},
        ratio=ratio,
        effective_classes=float(np.exp(-(shares * np.log(shares)).sum())),
        unlabelled=int((facts.is_usable & (facts.label < 0)).sum()),
        findings=sorted(findings, key=lambda fact: ("error", "warning", "info").index(fact.severity)),
    )


def _imbalance_findings(
    names: Sequence[str], counts: Mapping[str, NDArray[np.int64]], total: NDArray[np.int64], ratio: float
) -> list[Fact]:
    found = []
    if np.isfinite(ratio) and ratio >= NOTED_RATIO:
        text = (
            f"{names[int(total.argmax())]} has {total.max()} images, {names[int(total.argmin())]} {total.min()}: "
            f"{ratio:.3g} times as many. Accuracy alone hides the smaller class."
        )
        found.append(Fact("warning" if ratio >= WARNED_RATIO else "info", text))
    for split, of_split in counts.items():
        found += _few(names, of_split, split)
    shift = _shift(names, counts)
    return found + ([shift] if shift else [])


def _few(names: Sequence[str], counts: NDArray[np.int64], split: str) -> list[Fact]:
    """Return the findings about classes with too few images in one split, or in unsplit data."""
    is_training = split in ("train", "all")
    where = "" if split == "all" else f" in {split}"
    none = [name for name, number in zip(names, counts, strict=True) if number == 0]
    few = [f"{name} ({n})" for name, n in zip(names, counts, strict=True) if 0 < n < FEW_IMAGES]
    one = [name for name, number in zip(names, counts, strict=True) if number == 1]
    found = []
    if none:
        found.append(Fact("error" if is_training else "info", f"No images{where} of {listed(none)}."))
    if is_training and one:
        found.append(Fact("error", f"Only one image{where} of {listed(one)}: it cannot be split."))
    if is_training and few:
        found.append(Fact("warning", f"Fewer than {FEW_IMAGES} images{where} of {listed(few)}."))
    return found


def _shift(names: Sequence[str], counts: Mapping[str, NDArray[np.int64]]) -> Fact | None:
    """Compare the class shares of the splits by chi-square, and by Cramer's V for the size of the difference."""
    table = np.array([of_split for of_split in counts.values() if of_split.any()])
    table = table[:, table.sum(axis=0) > 0] if len(table) else table
    if min(table.shape) < 2:
        return None
    from scipy.stats import chi2_contingency

    statistic, p_value, _, _ = chi2_contingency(table)
    size = float(np.sqrt(statistic / (table.sum() * (min(table.shape) - 1))))
    if p_value >= SHIFT_P or size < SHIFT_SIZE:
        return None
    shares = {split: of_split / of_split.sum() for split, of_split in counts.items() if of_split.any()}
    spread = np.ptp(list(shares.values()), axis=0)
    label = int(spread.argmax())
    listing = ", ".join(f"{share[label]:.1%} of {split}" for split, share in shares.items())
    return Fact("warning", f"The splits differ in their classes, most in {names[label]}: {listing}.")
