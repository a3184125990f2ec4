"""What a section of a page is made of. A section says what to show; the templates say how it looks.

Every text is shown as text, whatever it holds: Jinja escapes it, or the script of the page sets it as text content.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

__all__ = [
    "Absent",
    "Block",
    "Cell",
    "Chart",
    "Column",
    "Facts",
    "ImageCard",
    "ImageGallery",
    "Section",
    "Table",
    "Words",
]

Kind = Literal["text", "number", "bar", "heat", "about"]


@dataclass(frozen=True)
class Words:
    """A paragraph. tone: "" or "note" (smaller), "warning"."""

    text: str
    tone: str = ""
    template: ClassVar[str] = "words"


@dataclass(frozen=True)
class Absent:
    """What stands where there is nothing to show: why, and the command that makes it."""

    text: str
    command: str = ""
    is_damaged: bool = False
    template: ClassVar[str] = "absent"


@dataclass(frozen=True)
class Facts:
    """Names and their values, one below the other."""

    rows: Sequence[tuple[str, str]]
    template: ClassVar[str] = "facts"


@dataclass(frozen=True)
class Column:
    """A column of a table. title: plain words. about: a longer explanation, shown on hover.

    kind: "about" is text that a narrow screen goes without.
    """

    title: str
    kind: Kind = "text"
    about: str = ""


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    order: what sorting goes by; None goes last. share, low, high: of a bar and its interval, 0 to 1.
    shade: of a heat cell, 0 (good) to 1 (bad). tone: "", "best", "good", "bad" or "soft". link: a relative address.
    note: below the text, smaller: an interval.
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
    """Rows of cells. name: what the table is called aloud. search: what to look for, "" = no search field.

    num_shown: rows seen at once, the rest on request; 0 = all.
    """

    name: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    search: str = ""
    num_shown: int = 0
    template: ClassVar[str] = "table"


@dataclass(frozen=True)
class Chart:
    """Something that the script of the page draws from `data`: plain JSON. kind: the name of the script's function."""

    kind: str
    name: str
    data: Mapping[str, Any]
    template: ClassVar[str] = "chart"


@dataclass(frozen=True)
class ImageCard:
    """One or more images of equal meaning side by side, under one caption. uris: (data URI, what it is)."""

    uris: Sequence[tuple[str, str]]
    title: str
    lines: Sequence[str] = ()
    is_small: bool = False
    tone: str = ""


@dataclass(frozen=True)
class ImageGallery:
    """A gallery. is_wide: each entry holds several images."""

    images: Sequence[ImageCard]
    is_wide: bool = False
    template: ClassVar[str] = "images"


Block = Words | Absent | Facts | Table | Chart | ImageGallery


@dataclass(frozen=True)
class Section:
    """A part of the page under a heading. anchor: its address in the page. lead: what it shows, in a sentence or two.

    is_empty: nothing to show, so that the table of contents can say so.
    """

    anchor: str
    title: str
    lead: str
    blocks: Sequence[Block] = field(default_factory=tuple)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        return all(isinstance(block, Absent) for block in self.blocks)
