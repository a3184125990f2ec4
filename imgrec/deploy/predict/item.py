"""What is to be answered: images one after the other, from a source that can tell whether it is the same again."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from imgrec.errors import ImageError

if TYPE_CHECKING:
    from imgrec.data.images.lazy_image import LazyImage

__all__ = ["Item", "Source", "bad_item"]


@dataclass(frozen=True)
class Item:
    """An image that is not read yet.

    name: of its row. open: reads it, in any thread; raises ImageError. time_s: since the start of a video or camera.
    in_memory: its pixels are here already, so that it should not wait in a queue before it is made small.
    """

    name: str
    open: "Callable[[], LazyImage]"
    time_s: float | None = None
    in_memory: bool = False


class Source(Protocol):
    """Some of the images of a command."""

    @property
    def expected(self) -> int | None:
        """How many images, as far as is known before the last; None: it ends when somebody stops it."""
        ...

    @property
    def has_time(self) -> bool:
        """Whether its items have a time."""
        ...

    def items(self) -> Iterator[Item]:
        """Yield the images, in the same order each time."""
        ...

    def identity(self) -> Iterator[str] | None:
        """Yield texts that differ when the images do; None: they cannot be had a second time."""
        ...


def bad_item(name: str, code: str, detail: str) -> Item:
    """Return an item that stands for something that cannot be read at all."""

    def refuse() -> "LazyImage":
        raise ImageError(name, code, detail)

    return Item(name, refuse)
