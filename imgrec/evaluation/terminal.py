"""Text from data, such as class and file names, made safe for a rich console."""

from rich.console import Console
from rich.text import Text

from imgrec.core.text import printable

__all__ = ["plain_text"]


def plain_text(text: str, console: Console, *, bold: bool = False) -> Text:
    """Return `text` without markup, control characters, or characters that the console's encoding lacks."""
    shown = printable(text).encode(console.encoding, "backslashreplace").decode(console.encoding)
    return Text(shown, style="bold" if bold else "")
