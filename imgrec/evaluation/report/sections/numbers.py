"""Number formatting: percentages, metrics with three decimals, counts, intervals, durations."""

import math
from collections.abc import Sequence
from typing import Any

__all__ = ["as_number", "count", "decimal", "duration", "interval", "interval_of", "percent", "size"]

SPACE = "\N{NO-BREAK SPACE}"
UNDEFINED = "undefined"


def as_number(value: Any) -> float | None:
    """Return a number from JSON; None for null and for NaN or infinity.

    Raises:
        TypeError: Not a number.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is not a number")
    return float(value) if math.isfinite(value) else None


def percent(value: float | None, *, digits: int = 1) -> str:
    """Return a share in percent: 98.9 %. Nothing below 1 is rounded to 100 % (> 99.9 %), nothing above 0 to 0 %."""
    if value is None or math.isnan(value):
        return UNDEFINED
    least = 10.0**-digits
    if 0 < value < 1 and not least / 2 <= 100 * value < 100 - least / 2:
        return f">{SPACE}{100 - least:.{digits}f}{SPACE}%" if value > 0.5 else f"<{SPACE}{least:.{digits}f}{SPACE}%"
    return f"{100 * value:.{digits}f}{SPACE}%"


def decimal(value: float | None, *, digits: int = 3) -> str:
    """Return a metric such as F1 or log loss with three decimals."""
    return UNDEFINED if value is None or math.isnan(value) else f"{value:.{digits}f}"


def count(value: float, unit: str = "", *, plural: str = "") -> str:
    """Return an integer with separators, and its unit: 10,000 images."""
    noun = unit if value == 1 or not unit else plural or f"{unit}s"
    return f"{int(value):,}" + (f"{SPACE}{noun}" if noun else "")


def interval(low: float | None, high: float | None, *, digits: int = 1) -> str:
    """Return the bounds of an interval of shares: 97.2 to 99.6 %."""
    return "" if low is None or high is None else f"{100 * low:.{digits}f} to {100 * high:.{digits}f}{SPACE}%"


def interval_of(value: Any) -> tuple[float | None, float | None]:
    """Return (low, high) of [low, high]; (None, None) where there is no interval."""
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2:
        return as_number(value[0]), as_number(value[1])
    return None, None


def duration(seconds: float | None) -> str:
    """Return a time: 340 ms, 18.1 s, 5 min 3 s, 2 h 14 min."""
    if seconds is None:
        return "unknown"
    if seconds < 1:
        return f"{1000 * seconds:.0f}{SPACE}ms"
    if seconds < 60:
        return f"{seconds:.1f}{SPACE}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}{SPACE}h {minutes}{SPACE}min" if hours else f"{minutes}{SPACE}min {rest}{SPACE}s"


def size(num_bytes: float) -> str:
    """Return a file size: 812 B, 3.4 MB."""
    for unit in ("B", "KB", "MB"):
        if num_bytes < 1000:
            return f"{num_bytes:.3g}{SPACE}{unit}"
        num_bytes /= 1000
    return f"{num_bytes:.3g}{SPACE}GB"
