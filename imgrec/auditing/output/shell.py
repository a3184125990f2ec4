"""Quoting of command-line arguments for a shell."""

import shlex
from collections.abc import Sequence

__all__ = ["shell_line"]

_LIVE_IN_DOUBLE_QUOTES = frozenset('"$`\\!')


def shell_line(arguments: Sequence[str]) -> str:
    """Join arguments into a command line. One with single quotes is put in double quotes where that is safe."""
    return " ".join(_quoted(argument) for argument in arguments)


def _quoted(argument: str) -> str:
    if "'" in argument and not _LIVE_IN_DOUBLE_QUOTES & set(argument):
        return f'"{argument}"'
    return shlex.quote(argument)
