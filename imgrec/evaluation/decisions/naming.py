"""Checks of names in the `decisions` configuration, and percentages for rule names."""

from collections.abc import Mapping, Sequence
from typing import Any

from imgrec.core.text import listed
from imgrec.errors import ConfigError, did_you_mean

__all__ = ["as_mapping", "check_classes", "percent"]


def percent(share: float) -> str:
    """Return 0.05 as "5" and 0.999 as "99.9": for names and messages."""
    return f"{100 * share:.10g}"


def as_mapping(key: str, value: object) -> dict[str, Any]:
    """Return `value` with its keys as strings: YAML reads a class 7 as a number.

    Raises:
        ConfigError: Not a mapping.
    """
    if not isinstance(value, Mapping):
        raise ConfigError(f"{key}={value!r}, but it must be of the form {{name: value}}.")
    return {str(name): item for name, item in value.items()}


def check_classes(key: str, names: Sequence[str], class_names: Sequence[str]) -> None:
    """Check that every name is a class of the data.

    Raises:
        ConfigError: A name is not; the message has the closest class.
    """
    for name in names:
        if name not in class_names:
            near = did_you_mean(name, class_names)
            raise ConfigError(f"{key}: {name!r} is not a class of the data.{near} Classes: {listed(class_names)}.")
