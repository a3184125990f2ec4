"""Numbers as a reader sees them: shares in percent, scores with three decimals, sizes and times in usual units."""

import math
from collections.abc import Sequence
from typing import Any

__all__ = ["as_number", "count", "duration", "interval", "interval_of", "percent", "score", "short"]

SPACE = "\N{NO-BREAK SPACE}"
UNDEFINED = "undefined"


def as_number(value: Any) -> float | None:
    """Return a number from JSON, None for null and for what is not finite. Raises: TypeError: no number at all."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return float(value) if math.isfinite(value) else None


def percent(value: float | None, *, digits: int = 1) -> str:
    """Return a share of 1 in percent: 98.9 %. What is not all is never rounded to it: > 99.9 %, nor to nothing."""
    if value is None or math.isnan(value):
        return UNDEFINED
    least = 10.0**-digits  # that can be told from nothing, in percent
    if 0 < value < 1 and not least / 2 <= 100 * value < 100 - least / 2:
        return f">{SPACE}{100 - least:.{digits}f}{SPACE}%" if value > 0.5 else f"<{SPACE}{least:.{digits}f}{SPACE}%"
    return f"{100 * value:.{digits}f}{SPACE}%"


def score(value: float | None, *, digits: int = 3) -> str:
    """Return a score with three decimals."""
    return UNDEFINED if value is None or math.isnan(value) else f"{value:.{digits}f}"


def count(value: float, what: str = "", *, plural: str = "") -> str:
    """Return a whole number with separators, and what it counts: 10,000 images."""
    word = what if value == 1 or not what else plural or f"{what}s"
    return f"{int(value):,}" + (f"{SPACE}{word}" if word else "")


def interval(low: float | None, high: float | None, *, digits: int = 1) -> str:
    """Return the ends of an interval of shares: 97.2 to 99.6 %."""
    return "" if low is None or high is None else f"{100 * low:.{digits}f} to {100 * high:.{digits}f}{SPACE}%"


def interval_of(value: Any) -> tuple[float | None, float | None]:
    """Return (low, high) of [low, high]; (None, None) where there is none."""
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


def short(value: Any) -> str:
    """Return any plain value as text: numbers with four digits, nothing as a dash."""
    if value is None:
        return "\N{EN DASH}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)
