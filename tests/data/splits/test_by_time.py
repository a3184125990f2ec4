"""imgrec.data.splits.by_time: the earliest to train, the latest to test."""

from datetime import UTC, date, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgrec.data.splits.by_time import read_times, split_by_time
from imgrec.errors import DataError

THREE = {"train": 0.8, "val": 0.1, "test": 0.1}


def parts(times, groups=None, fractions=THREE):
    sides = split_by_time(np.array(times, dtype=float), fractions=fractions, groups=groups)[:, 0]
    return {name: np.flatnonzero(sides == side).tolist() for side, name in enumerate(("train", "val", "test"))}


def test_the_latest_tenth_is_the_test():
    assert parts(list(range(20))[::-1]) == {"train": list(range(4, 20)), "val": [2, 3], "test": [0, 1]}


@settings(deadline=None)
@given(times=st.lists(st.integers(0, 9), min_size=3, max_size=60).filter(lambda times: len(set(times)) >= 3))
def test_no_part_is_earlier_than_the_one_before_and_ties_stay_whole(times):
    found = parts(times)
    ranges = [(min(times[i] for i in part), max(times[i] for i in part)) for part in found.values()]
    assert ranges[0][1] < ranges[1][0]
    assert ranges[1][1] < ranges[2][0]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 12)), min_size=12, max_size=80))
def test_a_group_stays_whole_and_training_ends_before_any_later_part_s_last(rows):
    times, groups = [time for time, _ in rows], [str(group) for _, group in rows]
    latest = {group: max(time for time, other in zip(times, groups, strict=True) if other == group) for group in groups}
    if len(set(latest.values())) < 3:
        return
    found = parts(times, groups)
    sides = [{groups[i] for i in part} for part in found.values()]
    assert sum(map(len, sides)) == len(set(groups))
    assert max(times[i] for i in found["train"]) < min(latest[groups[i]] for i in found["test"])


def test_borders_are_those_nearest_to_the_shares():
    assert [len(part) for part in parts([1] * 70 + [2] * 19 + [3] * 6 + [4] * 5).values()] == [89, 6, 5]
    assert [len(part) for part in parts([1] * 72 + [2] * 17 + [3] * 6 + [4] * 5).values()] == [72, 17, 11]
    assert [len(part) for part in parts([1] * 90 + [2] * 5 + [3] * 5).values()] == [90, 5, 5]


def test_a_share_of_zero_is_no_part():
    found = parts([1, 2, 3, 4], fractions={"train": 0.5, "val": 0.0, "test": 0.5})
    assert found == {"train": [0, 1], "val": [], "test": [2, 3]}


def test_too_few_times_are_an_error():
    with pytest.raises(DataError, match="2 different times cannot be divided into 3 splits"):
        parts([1, 2, 2])


@pytest.mark.parametrize(
    "values",
    [
        ["2024-05-31", "2024-06-01", "2025-01-01"],
        ["2024-05", "2024-06", "2025-01-01T10:00:00"],
        ["2024-05-31T12:00:00+02:00", "2024-05-31T12:00:00+00:00", "2024-05-31T12:00:00Z"],
        [date(2024, 5, 31), datetime(2024, 5, 31, 1), "2024-06-01"],
        [datetime(2024, 5, 31, tzinfo=UTC), "2024-05-31T00:00:00-01:00", "2025-01-01T00:00:00Z"],
        ["9", "10", "1e3"],
        [2019, 2020.5, "2021"],
    ],
)
def test_dates_and_numbers_grow_with_time(values):
    times = read_times(values, ["a", "b", "c"], column="taken")
    assert times[0] < times[1] <= times[2]


def test_what_is_no_time_is_an_error_that_names_it():
    with pytest.raises(DataError, match=r"'taken' is not a time in 2 of 3 rows: 'May' \(a.png\), 'nan' \(c.png\)"):
        read_times(["May", "2024-01-01", "nan"], ["a.png", "b.png", "c.png"], column="taken")


def test_times_of_two_kinds_are_an_error():
    with pytest.raises(
        DataError, match=r"several kinds.*'2024-01-01' \(a date without a time zone\), '5' \(a number\)"
    ):
        read_times(["2024-01-01", "5"], ["a", "b"], column="taken")
