"""`Item`, an image to predict, and `Source`, an ordered set of them that can be compared with that of another run."""

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

    Attributes:
        name: `path` of its prediction.
        open: Reads the image, in any thread; raises ImageError.
        frame: Index in a video or camera, from 0.
        time_s: Seconds since the start of a video or camera.
        in_memory: Its pixels are decoded already, so that it is preprocessed before it waits in a queue.
    """

    name: str
    open: "Callable[[], LazyImage]"
    frame: int | None = None
    time_s: float | None = None
    in_memory: bool = False


class Source(Protocol):
    """Some of the images of a command, in an order that is always the same."""

    @property
    def expected(self) -> int | None:
        """Number of images, or an estimate of it; None for a camera, which runs until it is stopped."""
        ...

    @property
    def has_time(self) -> bool:
        """Whether its items have `frame` and `time_s`."""
        ...

    def items(self) -> Iterator[Item]:
        """Yield the images, in the same order each time."""
        ...

    def identity(self) -> Iterator[str] | None:
        """Yield texts that change when the images do; None where the images cannot be read a second time."""
        ...


def bad_item(name: str, code: str, detail: str, *, frame: int | None = None) -> Item:
    """Return an item whose `open` raises ImageError."""

    def refuse() -> "LazyImage":
        raise ImageError(name, code, detail)

    return Item(name, refuse, frame)
