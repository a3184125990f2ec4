"""How HTML pages are made: templates whose every text is escaped, and where a missing name is an error."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["encode", "environment"]

_SHARED = Path(__file__).parent  # head.html


def environment(*folders: Path, **filters: Callable[..., Any]) -> "Environment":
    """Return what reads the templates in `folders`, the first that has one, and head.html, which all pages share.

    filters: by the names that templates use.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    found = Environment(
        loader=FileSystemLoader([*folders, _SHARED]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update(filters)
    return found


def encode(page: str) -> bytes:
    """Return the bytes of a page: UTF-8, stray bytes of names as escapes."""
    return page.encode("utf-8", "backslashreplace")
