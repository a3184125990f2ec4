"""`FileSource`, images in files."""

# Strings and os.path: there may be a million files, and a Path for each costs more than the listing.
# ruff: noqa: PTH116

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from imgrec.data.images.image import read_regular_file
from imgrec.deploy.predict.item import Item

if TYPE_CHECKING:
    from imgrec.data.images.lazy_image import LazyImage

__all__ = ["FileSource", "identify"]


@dataclass(frozen=True)
class FileSource:
    """One image per file.

    Attributes:
        paths: Of the files.
        names: `path` of their predictions; None for `paths`.
    """

    paths: Sequence[str]
    names: Sequence[str] | None = None
    has_time: bool = False

    @property
    def expected(self) -> int:
        """Number of files."""
        return len(self.paths)

    def items(self) -> Iterator[Item]:
        """Yield the files in their order; nothing is read before an item is opened."""
        for name, path in zip(self.names or self.paths, self.paths, strict=True):
            yield Item(name, partial(_open, path))

    def identity(self) -> Iterator[str]:
        """Yield path, size and modification time of each file."""
        return map(identify, self.paths)


def identify(path: str) -> str:
    """Return a text that changes when the file at `path` does: path, size and modification time."""
    try:
        info = os.stat(path)
    except (OSError, ValueError):  # ValueError: a null character in the path
        return f"{path}\0absent"
    return f"{path}\0{info.st_size}\0{info.st_mtime_ns}"


def _open(path: str) -> "LazyImage":
    from imgrec.data.images.lazy_image import image_from_bytes

    return image_from_bytes(read_regular_file(Path(path)), name=path)
