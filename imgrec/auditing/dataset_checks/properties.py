"""Properties of images that do not depend on the content, and rules on them that describe a class."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from imgrec.auditing.dataset_checks.statistics import Severity
from imgrec.auditing.scan.facts import FactsTable

__all__ = ["Property", "best_interval", "file_properties"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
CONTENT_LIMIT = 0.9  # for properties of the content: some classes are bright
BORDER_LIMIT = 0.8
_MODE_FLAGS = ("gray", "palette", "cmyk", "alpha", "sixteen_bit")


@dataclass(frozen=True)
class Property:
    """One property of n images.

    Attributes:
        family: Shared by properties that measure the same thing.
        values: Numbers (n,), or text if `is_category`.
        phrase: A verb phrase with {} for the value or the interval.
        limit: Balanced accuracy above which it is a shortcut.
        severity: Of that shortcut.
    """

    name: str
    family: str
    values: NDArray[np.generic]
    phrase: str
    is_category: bool = False
    limit: float = 0.65  # 44 % of the class against 6 % of the others has 0.69
    severity: Severity = "warning"

    def best_rule(self, is_class: BoolArray) -> tuple[BoolArray, str]:
        """Return for which images (n,) the most predictive value or interval holds, and its description."""
        if not self.is_category:
            low, high = best_interval(self.values.astype(float), is_class)
            holds = (self.values.astype(float) >= low) & (self.values.astype(float) <= high)
            return holds, self.phrase.format(_interval(low, high))
        shares = {
            v: abs(float((self.values[is_class] == v).mean() - (self.values[~is_class] == v).mean()))
            for v in sorted(set(self.values.tolist()))
        }
        best = max(shares, key=lambda value: shares[value])
        return np.asarray(self.values == best), self.phrase.format(best)


def file_properties(facts: FactsTable, rows: NDArray[np.int64]) -> Iterator[Property]:
    """Return the properties of the images at `rows`."""
    width, height = facts.width[rows].astype(float), facts.height[rows].astype(float)
    sizes = _texts(f"{w:.0f} x {h:.0f}" for w, h in zip(width, height, strict=True))
    yield Property("width", "size", width, "are {} px wide")
    yield Property("height", "size", height, "are {} px high")
    yield Property("pixels", "size", width * height / 1e6, "have {} megapixels")
    yield Property("aspect", "size", width / height, "have an aspect (width / height) of {}")
    yield Property("size", "size", sizes, "are {} px", is_category=True)
    formats, suffixes = (facts.format[row] for row in rows), (PurePath(facts.name[row]).suffix for row in rows)
    yield Property("format", "format", _texts(formats), "are of the format {}", is_category=True)
    yield Property(
        "extension", "format", _texts(suffixes), "have names that end in '{}'", is_category=True, severity="info"
    )
    yield Property("mode", "mode", _texts(facts.mode[row] for row in rows), "are of the mode {}", is_category=True)
    for flag in sorted({flag for row in rows for flag in facts.flags[row]}):
        has = _texts("are" if flag in facts.flags[row] else "are not" for row in rows)
        yield Property(flag, "mode" if flag in _MODE_FLAGS else flag, has, f"{{}} marked {flag}", is_category=True)
    yield _border(100 * facts.border[rows].astype(float))
    yield from _content_properties(facts, rows, width * height)


def _border(share: FloatArray) -> Property:
    phrase = "have an empty border of {} % of the area"
    # If most images have one, it is their background, not a frame that was added to some.
    if np.median(share) > 2:
        return Property("border", "border", share, phrase, limit=CONTENT_LIMIT, severity="info")
    return Property("border", "border", share, phrase, limit=BORDER_LIMIT)


def _content_properties(facts: FactsTable, rows: NDArray[np.int64], pixels: FloatArray) -> Iterator[Property]:
    if any(facts.format[row] for row in rows):  # an image in memory has no file size
        num_bytes = facts.num_bytes[rows].astype(float)
        yield Property("file size", "bytes", num_bytes / 1000, "have {} kB", limit=CONTENT_LIMIT, severity="info")
        yield Property(
            "bytes per pixel",
            "bytes",
            num_bytes / pixels,
            "have {} bytes per pixel",
            limit=CONTENT_LIMIT,
            severity="info",
        )
    measured = {
        "brightness": facts.brightness,
        "contrast": facts.contrast,
        "sharpness": facts.sharpness,
        "colorfulness": facts.colorfulness,
    }
    for name, column in measured.items():
        yield Property(
            name, name, column[rows].astype(float), f"have a {name} of {{}}", limit=CONTENT_LIMIT, severity="info"
        )


def _texts(values: Iterable[str]) -> NDArray[np.generic]:
    return np.array(list(values), dtype=np.str_)


def best_interval(values: FloatArray, is_class: BoolArray) -> tuple[float, float]:
    """Return the interval (low, high), ends included, with the largest difference between class and other images.

    An end is infinite where the interval reaches the last value.
    """
    distinct, place = np.unique(values, return_inverse=True)
    inside = np.bincount(place, weights=is_class, minlength=len(distinct)) / is_class.sum()
    others = np.bincount(place, weights=~is_class, minlength=len(distinct)) / (~is_class).sum()
    steps = np.concatenate([[0.0], np.cumsum(inside - others)])  # difference of the shares up to each value
    first, last = sorted((int(np.argmin(steps)), int(np.argmax(steps))))
    if first == last:
        return -np.inf, np.inf
    low = -np.inf if first == 0 else float(distinct[first])
    high = np.inf if last == len(distinct) else float(distinct[last - 1])
    return low, high


def _interval(low: float, high: float) -> str:
    if low == high:
        return _number(low)
    if np.isinf(low):
        return f"at most {_number(high)}"
    return f"at least {_number(low)}" if np.isinf(high) else f"{_number(low)} to {_number(high)}"


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
