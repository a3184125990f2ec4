"""Building blocks of a report page. A section lists what to show; the templates define how it looks.

All text is shown as plain text: Jinja escapes it, or the script of the page sets it as text content.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from imgrec.core.text import printable

__all__ = [
    "Absent",
    "Block",
    "Cell",
    "Chart",
    "Column",
    "Facts",
    "ImageCard",
    "ImageGallery",
    "Paragraph",
    "Section",
    "Table",
    "notes",
]

Kind = Literal["text", "number", "bar", "heat", "detail"]


@dataclass(frozen=True)
class Paragraph:
    """A paragraph. tone: "", "note" (smaller) or "warning"."""

    text: str
    tone: str = ""
    template: ClassVar[str] = "paragraph"


@dataclass(frozen=True)
class Absent:
    """Stands where there is nothing to show: the reason, and the command that produces it."""

    text: str
    command: str = ""
    is_damaged: bool = False
    template: ClassVar[str] = "absent"


@dataclass(frozen=True)
class Facts:
    """A list of names and values."""

    rows: Sequence[tuple[str, str]]
    template: ClassVar[str] = "facts"


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        title: Plain text.
        kind: "detail" is text that is hidden on a narrow screen.
        tooltip: Longer explanation, shown on hover.
    """

    title: str
    kind: Kind = "text"
    tooltip: str = ""


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: What is shown.
        order: Sort key; None is sorted last.
        share, low, high: Length of a bar and its interval, 0 to 1.
        shade: Of a heat cell, 0 (good) to 1 (bad).
        tone: "", "best", "good", "bad" or "soft".
        link: Relative URL.
        note: Smaller text below, such as an interval.
    """

    text: str
    order: float | str | None = None
    share: float | None = None
    low: float | None = None
    high: float | None = None
    shade: float | None = None
    tone: str = ""
    link: str = ""
    note: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of cells.

    Attributes:
        name: Accessible name.
        search: What the search field looks for; "" = no search field.
        num_shown: Rows shown at first, the rest on request; 0 = all.
    """

    name: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    search: str = ""
    num_shown: int = 0
    template: ClassVar[str] = "table"


@dataclass(frozen=True)
class Chart:
    """A chart that the script of the page draws. kind: key of the script's `charts`; data: plain JSON."""

    kind: str
    name: str
    data: Mapping[str, Any]
    template: ClassVar[str] = "chart"


@dataclass(frozen=True)
class ImageCard:
    """One or more images side by side under one caption. uris: (data URI, alternative text)."""

    uris: Sequence[tuple[str, str]]
    title: str
    lines: Sequence[str] = ()
    tone: str = ""


@dataclass(frozen=True)
class ImageGallery:
    """A grid of images. is_wide: one entry per row."""

    images: Sequence[ImageCard]
    is_wide: bool = False
    template: ClassVar[str] = "images"


Block = Paragraph | Absent | Facts | Table | Chart | ImageGallery


@dataclass(frozen=True)
class Section:
    """A section of the page. anchor: its id; lead: what it shows, in one or two sentences."""

    anchor: str
    title: str
    lead: str
    blocks: Sequence[Block] = field(default_factory=tuple)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        return all(isinstance(block, Absent) for block in self.blocks)


def notes(data: Mapping[str, Any]) -> list[Block]:
    """Return the `notes` of a JSON file of the evaluation as small paragraphs."""
    return [Paragraph(printable(str(note)), "note") for note in data.get("notes", [])]
