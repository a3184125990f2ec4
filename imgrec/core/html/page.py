"""HTML pages: a Jinja environment that escapes every text and rejects undefined names, and the encoding of a page."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["encode", "environment"]

_SHARED = Path(__file__).parent  # head.html, base.css, document.css


def environment(*folders: Path, **filters: Callable[..., Any]) -> "Environment":
    """Return a Jinja environment for the templates in `folders` and for the files that all pages share.

    Args:
        folders: Searched in order, before the shared files.
        filters: Filters by their name in the templates.
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
    """Return a page as UTF-8; bytes of file names that are not UTF-8 are written as escapes."""
    return page.encode("utf-8", "backslashreplace")
