"""Checks of config values: what passes, and what the message says."""

from typing import Any

import numpy as np
import pytest

from imgrec.core.config.checks import check_count, check_number, check_option_names
from imgrec.errors import ConfigError


@pytest.mark.parametrize(
    ("value", "limits"),
    [
        (0, {"at_least": 0}),
        (1, {"at_most": 1}),
        (1e-9, {"above": 0}),
        (0.999, {"below": 1}),
        (-5, {}),
        (np.float64(0.5), {"above": 0, "below": 1}),
    ],
)
def test_numbers_within_the_limits_pass(value: float, limits: dict[str, float]) -> None:
    check_number("a.b", value, **limits)


@pytest.mark.parametrize(
    ("value", "limits", "wanted"),
    [
        (0, {"above": 0}, "above 0"),
        (-1, {"at_least": 0}, "at least 0"),
        (1, {"below": 1}, "below 1"),
        (1.5, {"at_most": 1}, "at most 1"),
        (2, {"above": 0, "at_most": 1}, "above 0 and at most 1"),
    ],
)
def test_numbers_outside_name_key_value_and_limits(value: float, limits: dict[str, float], wanted: str) -> None:
    with pytest.raises(ConfigError) as error:
        check_number("a.b", value, **limits)
    assert str(error.value) == f"a.b={value}, but it must be {wanted}."


@pytest.mark.parametrize("value", [True, None, "1", [1], float("nan"), float("inf"), -float("inf")])
def test_what_is_no_finite_number_is_named(value: Any) -> None:
    with pytest.raises(ConfigError) as error:
        check_number("a.b", value)
    assert str(error.value) == f"a.b={value!r}, but it must be a finite number."


def test_unknown_option_names_the_nearest_and_all() -> None:
    with pytest.raises(ConfigError) as error:
        check_option_names(["lr", "momentun"], valid={"momentum", "lr"}, group="optimizer", owner="SGD")
    assert str(error.value) == (
        "optimizer.momentun is not an option of SGD. Did you mean 'momentum'? It takes: lr, momentum."
    )


def test_option_of_something_that_takes_none() -> None:
    with pytest.raises(ConfigError, match=r"It takes: none\."):
        check_option_names(["a"], valid=(), group="g", owner="o")


@pytest.mark.parametrize(("value", "shown"), [("2", "'2'"), (0, "0"), (2.5, "2.5"), (None, "null"), (True, "True")])
def test_a_count_that_is_none_shows_whether_it_is_text(value: Any, shown: str) -> None:
    with pytest.raises(ConfigError) as error:
        check_count("top_k", value, at_least=1)
    assert str(error.value) == f"top_k={shown}, but it must be a whole number, 1 or more."
