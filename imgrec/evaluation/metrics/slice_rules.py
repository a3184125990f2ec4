"""Cuts a column into slices: numbers at quantiles, strings and few distinct numbers by value, rare values pooled."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from imgrec.core.text import printable

__all__ = ["Cut", "Slice", "cut_column", "cut_numbers"]

BoolArray = NDArray[np.bool_]
NUM_BINS = 5  # of a column of numbers, as equal in size as ties allow
FEW_VALUES = 8  # numbers with no more than these are cut by value
MOST_SLICES = 20  # of strings; the rarer ones are pooled
RARE = 20  # images; values with fewer are pooled
MISSING = "no value"
MOST_DIGITS = 12  # of an edge that is shown


@dataclass(frozen=True)
class Slice:
    """A subset of the images.

    Attributes:
        label: Shown name.
        chosen: bool (N,).
        low: Lower edge of a bin of numbers.
        high: Upper edge; equal to `low` for a single value.
    """

    label: str
    chosen: BoolArray
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Cut:
    """A column in disjoint slices.

    Attributes:
        kind: `"number"` or `"text"`.
        rule: How it was cut, for readers.
        slices: None of them shares an image with another.
        num_values: Distinct values.
        num_missing: Images without a value.
        num_pooled: Rare values that became one slice.
        edges: Of the bins of numbers; each contains its lower edge but not its upper one, the last both.
        why_not: Reason where there are no slices.
    """

    kind: str
    rule: str
    slices: Sequence[Slice]
    num_values: int
    num_missing: int = 0
    num_pooled: int = 0
    edges: Sequence[float] | None = None
    why_not: str = ""


def cut_column(column: NDArray[np.float64] | Sequence[str]) -> Cut:
    """Return the slices of a column: numbers (N,) with NaN for missing, or N strings with "" for missing."""
    if isinstance(column, np.ndarray):
        return cut_numbers(column)
    return _cut_texts(column)


def cut_numbers(column: NDArray[np.float64]) -> Cut:
    """Cut by value where there are few distinct values, otherwise at quantiles."""
    known = column[~np.isnan(column)]
    values = np.unique(known)
    missing = np.isnan(column)
    if len(values) < 2 and not (len(values) and missing.any()):
        same = f"a single value: {show_number(values[0])}" if len(values) else "no values"
        return Cut("number", "", (), len(values), int(missing.sum()), why_not=same)
    unknown = [Slice(MISSING, missing)] if missing.any() else []
    if len(values) <= FEW_VALUES:
        slices = [Slice(show_number(value), column == value, float(value), float(value)) for value in values]
        return Cut("number", "by value", [*slices, *unknown], len(values), int(missing.sum()))
    # Edges are values that occur, so that no bin is empty.
    edges = np.unique(np.quantile(known, np.linspace(0, 1, NUM_BINS + 1), method="higher"))
    rule = f"{len(edges) - 1} bins of about equal size"
    return Cut(
        "number",
        rule,
        [*_number_slices(column, edges), *unknown],
        len(values),
        int(missing.sum()),
        edges=edges.tolist(),
    )


def _number_slices(column: NDArray[np.float64], edges: NDArray[np.float64]) -> Iterator[Slice]:
    shown = _show_edges(edges.tolist())
    for place, (low, high) in enumerate(pairwise(edges.tolist())):
        is_last = place == len(edges) - 2
        chosen = (column >= low) & ((column <= high) if is_last else (column < high))
        yield Slice(f"{shown[place]} to {shown[place + 1]}", chosen, low, high)


def _show_edges(edges: Sequence[float]) -> list[str]:
    """Return the edges with as few digits as tell them apart: most confidences may begin with 0.999."""
    for digits in range(3, MOST_DIGITS):
        shown = [show_number(edge, digits=digits) for edge in edges]
        if len(set(shown)) == len(shown):
            return shown
    return [repr(edge) for edge in edges]


def _cut_texts(column: Sequence[str]) -> Cut:
    counts = Counter(column)
    num_missing = counts.pop("", 0)
    common = [value for value, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if count >= RARE]
    common = common[:MOST_SLICES]
    num_pooled = len(counts) - len(common)
    if len(counts) + (num_missing > 0) < 2:
        same = f"a single value: {printable(next(iter(counts)))}" if counts else "no values"
        return Cut("text", "", (), len(counts), num_missing, why_not=same)
    if not common:
        why_not = f"none of its {len(counts)} values has {RARE} images or more"
        return Cut("text", "", (), len(counts), num_missing, num_pooled, why_not=why_not)
    values = np.array(column, dtype=object)
    slices = [Slice(printable(value), np.asarray(values == value, dtype=np.bool_)) for value in common]
    if num_pooled:
        is_rare = ~np.isin(values, [*common, ""])
        slices.append(Slice(f"{num_pooled} rare values" if num_pooled > 1 else "1 rare value", is_rare))
    if num_missing:
        slices.append(Slice(MISSING, np.asarray(values == "", dtype=np.bool_)))
    return Cut("text", "by value", slices, len(counts), num_missing, num_pooled)


def show_number(value: float, *, digits: int = 3) -> str:
    """Return a number with at most `digits` significant digits; whole numbers in full."""
    if float(value).is_integer() and abs(value) < 1e9:
        return f"{value:.0f}"
    return f"{value:.0f}" if 10 ** (digits - 1) <= abs(value) < 1e9 else f"{value:.{digits}g}"
