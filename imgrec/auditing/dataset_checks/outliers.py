"""Outliers in size, aspect, brightness, contrast or sharpness, and blank images."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imgrec.auditing.dataset_checks.statistics import Severity
from imgrec.auditing.scan.facts import FactsTable

__all__ = ["MIN_IMAGES", "THRESHOLD", "Outlier", "outliers"]

THRESHOLD = 5.0  # robust standard deviations; of a normal distribution, 1 image in 2 million is as far
MIN_IMAGES = 20  # below, nothing is compared
BLANK_CONTRAST = 2.0  # standard deviation of gray, of 255: noise of a covered lens
BLACK_BRIGHTNESS, WHITE_BRIGHTNESS = 8.0, 247.0  # mean gray
FLAT_CONTRAST = 6.0  # a black or white image may have this much: a few bright pixels, noise of compression

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Outlier:
    """An outlier in one property.

    Attributes:
        row: Row of the facts.
        property: size, aspect, brightness, contrast, sharpness; or blank, black, white.
        value: Shorter side in px, width / height, mean gray (0 to 255), standard deviation of gray, or variance of the
            Laplacian; for blank, black and white the contrast or the brightness.
        usual: The range of the middle 90 % of the data set.
        distance: From the median in robust standard deviations, on the scale of the property; negative: too low.
        severity: warning for a blank image, info otherwise.
    """

    row: int
    property: str
    value: float
    usual: tuple[float, float]
    distance: float
    severity: Severity
    text: str


@dataclass(frozen=True)
class _Property:
    """A property that is compared.

    Attributes:
        scale: Transform of the values before the comparison, such as the logarithm.
        least: Lower limit of the standard deviation on that scale, so that in a data set of equal images a small
            difference is no outlier.
    """

    name: str
    values: Callable[[FactsTable], FloatArray]
    scale: Callable[[FloatArray], FloatArray]
    least: float
    unit: str = ""


def _log(values: FloatArray) -> FloatArray:
    logarithms: FloatArray = np.log(np.maximum(values, 1e-3))
    return logarithms


def _log_above_noise(values: FloatArray) -> FloatArray:
    logarithms: FloatArray = np.log1p(np.maximum(values, 0))
    return logarithms


_PROPERTIES = (
    _Property("size", lambda facts: np.minimum(facts.width, facts.height).astype(float), _log, 0.1, " px"),
    _Property("aspect", lambda facts: facts.width / np.maximum(facts.height, 1), _log, 0.1),
    _Property("brightness", lambda facts: facts.brightness.astype(float), np.asarray, 8.0),
    _Property("contrast", lambda facts: facts.contrast.astype(float), _log_above_noise, 0.1),
    _Property("sharpness", lambda facts: facts.sharpness.astype(float), _log_above_noise, 0.2),
)


def outliers(facts: FactsTable) -> list[Outlier]:
    """Return the outliers among the usable images, blank ones first, then by distance; one per image and property.

    Blank: contrast below 2. Black, white: mean gray below 8 or above 247, contrast below 6. Otherwise a property more
    than 5 robust standard deviations from the median (see `robust_distance`): the logarithms of size, aspect, contrast
    and sharpness, and brightness. With fewer than 20 images nothing is compared.
    """
    usable = np.flatnonzero(facts.is_usable)
    found = _empty_ones(facts, usable)
    empty = {outlier.row for outlier in found}
    if len(usable) >= MIN_IMAGES:
        compared = [outlier for item in _PROPERTIES for outlier in _far(facts, usable, item)]
        found += [one for one in compared if one.row not in empty or one.property in ("size", "aspect")]
    return sorted(found, key=lambda one: (one.severity == "info", -abs(one.distance), one.row, one.property))


def _empty_ones(facts: FactsTable, usable: NDArray[np.int64]) -> list[Outlier]:
    """Return the blank images; this does not depend on the other images."""
    found = []
    for row in usable:
        brightness, contrast = float(facts.brightness[row]), float(facts.contrast[row])
        kind = ""
        if contrast < FLAT_CONTRAST and brightness < BLACK_BRIGHTNESS:
            kind, column, value = "black", facts.brightness, brightness
        elif contrast < FLAT_CONTRAST and brightness > WHITE_BRIGHTNESS:
            kind, column, value = "white", facts.brightness, brightness
        elif contrast < BLANK_CONTRAST:
            kind, column, value = "blank", facts.contrast, contrast
        if kind:
            text = f"{kind}: mean gray {brightness:.0f} of 255, contrast {contrast:.1f}"
            usual = _middle(column[usable].astype(float))
            found.append(Outlier(int(row), kind, value, usual, -np.inf, "warning", text))
    return found


def _far(facts: FactsTable, usable: NDArray[np.int64], item: _Property) -> list[Outlier]:
    values = item.values(facts)[usable]
    distance = robust_distance(item.scale(values), least=item.least)
    low, high = _middle(values)
    return [
        Outlier(
            row=int(usable[place]),
            property=item.name,
            value=float(values[place]),
            usual=(low, high),
            distance=float(distance[place]),
            severity="info",
            text=f"{item.name} {_number(values[place])}{item.unit}, usual range {_number(low)} to {_number(high)}",
        )
        for place in np.flatnonzero(np.abs(distance) > THRESHOLD)
    ]


def robust_distance(values: FloatArray, *, least: float) -> FloatArray:
    """Return the signed distance of each value from the median, in robust standard deviations.

    Each side of the median has its own deviation, the largest of `least`, 1.4826 times the median distance on that
    side, and the 5 % (or 95 %) quantile's distance divided by 1.6449, so that a long tail is not many outliers.
    """
    centre = np.median(values)
    away = values - centre
    distance: FloatArray = np.zeros_like(values, dtype=float)
    for side, sign in ((away < 0, -1), (away > 0, 1)):
        if not side.any():
            continue
        of_side = np.concatenate([np.abs(away[side]), np.zeros((away == 0).sum() // 2)])
        edge = abs(float(np.quantile(values, 0.5 + sign * 0.45, method="nearest")) - centre)
        deviation = max(least, 1.4826 * float(np.median(of_side)), edge / 1.6449)
        distance[side] = away[side] / deviation
    return distance


def _middle(values: FloatArray) -> tuple[float, float]:
    low, high = np.quantile(values, [0.05, 0.95])
    return float(low), float(high)


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
