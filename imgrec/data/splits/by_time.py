"""Splits by time: the earliest samples for training, the latest for the test."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.data.samples import SPLITS
from imgrec.data.splits.folds import UNUSED, Sides
from imgrec.errors import DataError

__all__ = ["read_times", "split_by_time"]

FloatArray = NDArray[np.float64]
_MONTH = re.compile(r"\d{4}-\d{2}")


def read_times(values: Sequence[Any], names: Sequence[str], *, column: str) -> FloatArray:
    """Return the values of a column as float64 (N,) that increase with time.

    Args:
        values: Numbers, dates, or texts: a number, or an ISO 8601 date or date and time (2024-05, 2024-05-31,
            2024-05-31T12:30:00+02:00).
        names: Names of the samples, for messages.
        column: Name of the column, for messages.

    Raises:
        DataError: A value is no time, or values are of several kinds.
    """
    found = [_time(value) for value in values]
    if wrong := [place for place, kind_and_time in enumerate(found) if kind_and_time is None]:
        shown = ", ".join(f"{str(values[i])!r} ({names[i]})" for i in wrong[:3])
        raise DataError(
            f"Column {column!r} is not a time in {len(wrong)} of {len(values)} rows: {shown}. A time is a number or an "
            f"ISO date, such as 2024-05-31 or 2024-05-31T12:30:00."
        )
    times = [kind_and_time for kind_and_time in found if kind_and_time is not None]
    first_of = {kind: place for place, (kind, _) in reversed(list(enumerate(times)))}
    if len(first_of) > 1:
        shown = ", ".join(f"{str(values[place])!r} ({kind})" for kind, place in sorted(first_of.items()))
        raise DataError(
            f"Column {column!r} holds times of several kinds, which cannot be compared: {shown}. Use one kind."
        )
    return np.array([moment for _, moment in times])


def _time(value: Any) -> tuple[str, float] | None:
    """Return the kind of a time and its value; None for what is no time."""
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if not isinstance(value, datetime):
        text = str(value).strip()
        try:
            return ("a number", float(text)) if np.isfinite(float(text)) else None
        except ValueError:
            pass
        try:
            value = datetime.fromisoformat(f"{text}-01" if _MONTH.fullmatch(text) else text)
        except ValueError:
            return None
    if value.tzinfo is None:
        return "a date without a time zone", value.replace(tzinfo=UTC).timestamp()
    return "a date with a time zone", value.timestamp()


def split_by_time(times: FloatArray, *, fractions: Mapping[str, float], groups: Sequence[str] | None = None) -> Sides:
    """Split N samples along time: the earliest into train, then val, the latest into test.

    A group is placed by its latest sample: no training sample is later than the first validation time, but a group in
    validation or test may have early samples. Samples of one time stay together. Borders are those nearest to the
    fractions.

    Returns:
        uint8 (N, 1), as one column of `deal_folds`.

    Raises:
        DataError: There are fewer different times than splits.
    """
    latest = _latest(times, groups)
    moments, counts = np.unique(latest, return_counts=True)
    parts = [name for name in SPLITS if fractions.get(name, 0) > 0]
    if len(moments) < len(parts):
        raise DataError(
            f"{len(moments)} different times cannot be divided into {len(parts)} splits ({', '.join(parts)}): images "
            f"of one time{'' if groups is None else ', and of one group,'} stay together."
        )
    part_of_moment = _borders(counts, [fractions[part] for part in parts])
    sides = np.array([SPLITS.index(part) for part in parts], dtype=np.uint8)[part_of_moment]
    assert UNUSED not in sides
    return np.asarray(sides[np.searchsorted(moments, latest)], dtype=np.uint8)[:, None]


def _latest(times: FloatArray, groups: Sequence[str] | None) -> FloatArray:
    if groups is None:
        return times
    _, group_of = np.unique(np.asarray(groups), return_inverse=True)
    latest = np.full(group_of.max() + 1, -np.inf)
    np.maximum.at(latest, group_of, times)
    return np.asarray(latest[group_of], dtype=np.float64)


def _borders(counts: NDArray[np.int64], shares: Sequence[float]) -> NDArray[np.int64]:
    """Return the split of each moment: borders nearest to the shares, each split with one moment at least."""
    reached = np.concatenate(([0], np.cumsum(counts)))  # samples before each border
    wished = np.cumsum(shares) / np.sum(shares) * reached[-1]
    borders = [0]
    for part, wish in enumerate(wished[:-1]):
        low, high = borders[-1] + 1, len(counts) - (len(shares) - 1 - part)
        borders.append(low + int(np.argmin(np.abs(reached[low : high + 1] - wish))))
    return np.searchsorted(borders[1:], np.arange(len(counts)), side="right")
