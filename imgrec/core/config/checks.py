"""Checks of values from the configuration; each message names the key, the value, and what is allowed."""

import math
import operator
from collections.abc import Collection

from imgrec.errors import ConfigError, did_you_mean

__all__ = ["check_choice", "check_count", "check_number", "check_option_names"]


def check_number(
    key: str,
    value: object,
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
) -> None:
    """Check that `value` is a finite number within the limits given.

    Raises:
        ConfigError: It is not; the message has `key` and the limits.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"{key}={value!r}, but it must be a finite number.")
    limits = [
        (above, "above", operator.gt),
        (at_least, "at least", operator.ge),
        (below, "below", operator.lt),
        (at_most, "at most", operator.le),
    ]
    given = [(limit, name, holds) for limit, name, holds in limits if limit is not None]
    if not all(holds(value, limit) for limit, _, holds in given):
        wanted = " and ".join(f"{name} {limit:g}" for limit, name, _ in given)
        raise ConfigError(f"{key}={value}, but it must be {wanted}.")


def check_count(key: str, value: object, *, at_least: int, at_most: int | None = None) -> None:
    """Check that `value` is a whole number within the limits given.

    Raises:
        ConfigError: It is not; the message has `key` and the limits.
    """
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if not is_whole or value < at_least or (at_most is not None and value > at_most):  # type: ignore[operator]
        limits = f"from {at_least} to {at_most}" if at_most is not None else f"{at_least} or more"
        raise ConfigError(f"{key}={'null' if value is None else repr(value)}, but it must be a whole number, {limits}.")


def check_choice(key: str, value: object, choices: Collection[object]) -> None:
    """Check that a value is one of `choices`.

    Raises:
        ConfigError: It is not; the message has the choices and the nearest one.
    """
    if value not in choices:
        shown = [str(choice).lower() if isinstance(choice, bool) else str(choice) for choice in choices]
        raise ConfigError(f"{key}={value}: use one of {', '.join(shown)}.{did_you_mean(str(value), shown)}")


def check_option_names(names: Collection[str], *, valid: Collection[str], group: str, owner: str) -> None:
    """Check that `owner` (an optimizer, a schedule) accepts every key in `names`.

    Raises:
        ConfigError: It does not; the message names the key as `group.key`, the nearest valid ones, and all of them.
    """
    for name in names:
        if name not in valid:
            raise ConfigError(
                f"{group}.{name} is not an option of {owner}.{did_you_mean(name, valid)} "
                f"It takes: {', '.join(sorted(valid)) or 'none'}."
            )
