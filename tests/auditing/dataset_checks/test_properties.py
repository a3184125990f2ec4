"""The interval of a property that predicts a class best, and its description."""

import numpy as np
import pytest

from imgrec.auditing.dataset_checks.properties import Property, best_interval, file_properties
from made_facts import made_facts


def brute_force(values: np.ndarray, is_class: np.ndarray) -> float:
    """Return the largest difference of the two shares over all intervals, tried one by one."""
    distinct = np.unique(values)
    inside = [(values >= low) & (values <= high) for low in distinct for high in distinct if low <= high]
    return max(abs(mask[is_class].mean() - mask[~is_class].mean()) for mask in inside)


@pytest.mark.parametrize("seed", range(5))
def test_the_best_interval_is_the_one_that_trying_all_finds(seed):
    rng = np.random.default_rng(seed)
    values, is_class = rng.integers(0, 12, 60).astype(float), rng.random(60) < 0.4
    low, high = best_interval(values, is_class)
    mask = (values >= low) & (values <= high)
    assert abs(mask[is_class].mean() - mask[~is_class].mean()) == pytest.approx(brute_force(values, is_class))


@pytest.mark.parametrize(
    ("inside", "others", "rule"),
    [
        ([1, 2], [3, 4], "are at most 2 px wide"),
        ([3, 4], [1, 2], "are at most 2 px wide"),
        ([3, 3], [1, 5], "are 3 px wide"),
        ([3, 4], [1, 5], "are 3 to 4 px wide"),
        ([150, 7.25], [1, 2], "are at most 2 px wide"),
    ],
)
def test_the_rule_of_an_interval(inside, others, rule):
    values = np.array(inside + others, dtype=float)
    item = Property("width", "size", values, "are {} px wide")
    assert item.best_rule(np.array([True, True, False, False]))[1] == rule


def test_images_in_memory_have_no_file_size():
    rows = np.arange(4)
    with_files = {item.name for item in file_properties(made_facts(4), rows)}
    in_memory = {item.name for item in file_properties(made_facts(4, format=[""] * 4), rows)}
    assert with_files - in_memory == {"file size", "bytes per pixel"}
