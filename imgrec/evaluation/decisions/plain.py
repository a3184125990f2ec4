"""Dataclasses to plain dicts for JSON and checkpoints, and back with a type check of every field."""

import math
from collections.abc import Mapping
from dataclasses import fields
from types import UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin

from imgrec.errors import DataError

__all__ = ["from_plain", "to_plain"]

T = TypeVar("T")


def to_plain(record: Any) -> dict[str, Any]:
    """Return the fields of a dataclass by name, tuples as lists."""
    return {field.name: _listed(getattr(record, field.name)) for field in fields(record)}


def from_plain(kind: type[T], data: object, *, where: str) -> T:
    """Return `kind(**data)` after checking that every field is present and of its type.

    Args:
        kind: A dataclass of str, int, float, Literal, tuples of them, or None.
        data: What `to_plain` returned.
        where: Name of the place in messages, such as `decisions.reject.risk_1`.

    Raises:
        DataError: A field is missing, unknown or of another type.
    """
    types = {field.name: field.type for field in fields(kind)}  # type: ignore[arg-type]
    if not isinstance(data, Mapping) or set(data) != set(types):
        seen = ", ".join(map(str, data)) if isinstance(data, Mapping) else type(data).__name__
        raise DataError(f"{where} is damaged: it holds {seen}, not {', '.join(types)}.")
    for name, annotation in types.items():
        if not _fits(data[name], annotation):
            wanted = getattr(annotation, "__name__", annotation)
            raise DataError(f"{where}.{name} is damaged: {data[name]!r} is not {wanted}.")
    return kind(**{name: _tupled(data[name]) for name in types})


def _listed(value: Any) -> Any:
    return [_listed(item) for item in value] if isinstance(value, tuple) else value


def _tupled(value: Any) -> Any:
    return tuple(_tupled(item) for item in value) if isinstance(value, list | tuple) else value


def _fits(value: object, annotation: Any) -> bool:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is tuple:  # tuple[X, ...]
        return isinstance(value, list | tuple) and all(_fits(item, inner[0]) for item in value)
    if origin is UnionType:
        return any(_fits(value, one) for one in inner)
    if origin is Literal:
        return isinstance(value, str) and value in inner
    if annotation is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return isinstance(value, annotation) and not (annotation is int and isinstance(value, bool))
