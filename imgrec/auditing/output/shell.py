"""Words as a person types them into a shell."""

import shlex
from collections.abc import Sequence

__all__ = ["shell_line"]

_LIVE_IN_DOUBLE_QUOTES = frozenset('"$`\\!')


def shell_line(words: Sequence[str]) -> str:
    """Join words into a line for a shell; one with single quotes in it goes between double quotes where that can be."""
    return " ".join(_quoted(word) for word in words)


def _quoted(word: str) -> str:
    if "'" in word and not _LIVE_IN_DOUBLE_QUOTES & set(word):
        return f'"{word}"'
    return shlex.quote(word)
