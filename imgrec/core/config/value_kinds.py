"""Check values from a configuration against the type annotations of the parameters they are for."""

import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Union

from imgrec.errors import ConfigError, did_you_mean

__all__ = ["check_kinds"]

_KINDS: Mapping[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    type(None): "null",
    list: "a list",
}
_SEQUENCES = (list, tuple, Sequence)


def check_kinds(function: Callable[..., Any], values: Mapping[str, object], *, key: str) -> None:
    """Check plain values (text, numbers, true or false, null) against the annotations of `function`.

    Only what is surely invalid is refused; annotations beyond plain types, `Literal` and sequences are not checked.

    Raises:
        ConfigError: A value of another type; the message has what is allowed and, for a `Literal`, the nearest.
    """
    try:
        hints = typing.get_type_hints(function)
    except (NameError, TypeError):  # names that are imported for type checkers alone; builtins without annotations
        return
    for name, value in values.items():
        if name in hints and _is_plain(value) and not _accepts(hints[name], value):
            wanted = _described(hints[name])
            hint = did_you_mean(str(value), _choices(hints[name]))
            if isinstance(value, int | float) and "text" in wanted:
                hint = f""" Quote it: {key}.{name}="'{value}'\""""
            raise ConfigError(f"{key}.{name}={_shown(value)}, but it must be {wanted}.{hint}")


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, str | bool | int | float)


def _accepts(annotation: Any, value: Any) -> bool:
    """Return whether the annotation admits a plain value."""
    origin = typing.get_origin(annotation)
    if origin in (Union, types.UnionType):
        return any(_accepts(part, value) for part in typing.get_args(annotation))
    if origin is Literal:
        return value in typing.get_args(annotation)
    if annotation is type(None):
        return value is None
    if annotation in (bool, str):
        return isinstance(value, annotation)
    if annotation in (int, float):
        return isinstance(value, int | (float if annotation is float else int)) and not isinstance(value, bool)
    # A list is no plain value. The rest, a class, a callable, Any, is not checked.
    return origin not in _SEQUENCES and annotation not in _SEQUENCES


def _choices(annotation: Any) -> list[str]:
    """Return the names that the annotation lists."""
    if typing.get_origin(annotation) is Literal:
        return [value for value in typing.get_args(annotation) if isinstance(value, str)]
    return [name for part in typing.get_args(annotation) for name in _choices(part)]


def _described(annotation: Any) -> str:
    """Return the annotation as text: a whole number or null; a or b."""
    origin = typing.get_origin(annotation)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_described(part) for part in typing.get_args(annotation)))
    if origin is Literal:
        return " or ".join(_shown(value) for value in typing.get_args(annotation))
    if origin in _SEQUENCES or annotation in _SEQUENCES:
        return _KINDS[list]
    return _KINDS.get(annotation, str(getattr(annotation, "__name__", annotation)))


def _shown(value: object) -> str:
    """Return the value as YAML writes it: true, null."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
