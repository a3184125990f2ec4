"""Text for messages: shortened listings, names that may hold any character, counts with their noun."""

from collections.abc import Collection
from decimal import Decimal

__all__ = ["counted", "listed", "printable", "short"]


def listed(items: Collection[object], *, limit: int = 10, separator: str = ", ") -> str:
    """Return the items on one line, at most `limit` of them, then how many more there are: `a, b and 3 more`."""
    shown = separator.join(printable(str(item)) for item, _ in zip(items, range(limit), strict=False))
    return shown if len(items) <= limit else f"{shown} and {len(items) - limit:,} more"


def printable(text: str) -> str:
    r"""Return `text` with what cannot be printed escaped: a line break as \n, the byte FF of a file name as \xff."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else _escaped(letter) for letter in text)


def counted(count: int, noun: str) -> str:
    """Return a count with its noun, which takes an s in the plural: `1 image`, `1,200 images`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def short(value: float) -> str:
    """Return a number with up to three significant digits and no exponent: `1.23`, `1000`, `0.0012`."""
    return f"{Decimal(f'{value:.3g}'):f}"


def _escaped(letter: str) -> str:
    if "\udc80" <= letter <= "\udcff":  # how Python carries a byte of a file name that is not UTF-8
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return letter.encode("unicode_escape").decode("ascii")
