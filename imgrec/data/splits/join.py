"""All images of a data set in one heap, whatever splits it came in, in an order that depends on their names alone."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from imgrec.data.images.collections import FileImages
from imgrec.data.samples import Column, Images, ImagesView, Samples, UInt8Array
from imgrec.errors import DataError

if TYPE_CHECKING:
    from imgrec.data.images.lazy_image import LazyImage

__all__ = ["JoinedImages", "common_folder", "pool"]


def pool(parts: Iterable[Samples | None]) -> Samples:
    """Return the samples of all parts, sorted by name, so that nothing depends on the order in which files are listed.

    A sample without a group, among others that have one, is a group of its own.
    Raises: DataError: no samples, or two of one name: names tell samples apart in a split file.
    """
    found = [part for part in parts if part is not None and len(part)]
    if not found:
        raise DataError("The data holds no images to divide.")
    names = [name for part in found for name in part.names]
    _refuse_twice(names)
    has_groups = any(part.groups is not None for part in found)
    joined = Samples(
        names=names,
        images=_join([part.images for part in found]),
        labels=np.concatenate([part.labels for part in found]),
        groups=[group for part in found for group in part.groups or part.names] if has_groups else None,
        columns=_join_columns([part.columns for part in found]),
    )
    return joined.subset(np.array(sorted(range(len(names)), key=names.__getitem__), dtype=np.int64))


def _join_columns(parts: Sequence[Mapping[str, Column]]) -> dict[str, Column]:
    """Return the columns that all parts have, one part after the other; as texts where one part has texts."""
    shared = [name for name in parts[0] if all(name in part for part in parts)]
    return {name: _join_column([part[name] for part in parts]) for name in shared}


def _join_column(parts: Sequence[Column]) -> Column:
    numbers = [part for part in parts if isinstance(part, np.ndarray)]
    if len(numbers) == len(parts):
        return np.concatenate(numbers)
    return [_as_text(value) for part in parts for value in part]


def _as_text(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return "" if np.isnan(value) else f"{value:g}"


def _refuse_twice(names: Sequence[str]) -> None:
    if len(set(names)) == len(names):
        return
    seen: set[str] = set()
    twice = next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]
    raise DataError(f"Two images are called {twice}. A division needs names that tell images apart.")


def common_folder(names: Sequence[str]) -> str:
    """Return the folder that all names lie in, with its slash; "" where there is none.

    What follows it in a name stays the same when the data is moved, and however its folder was typed.
    """
    low, high = min(names), max(names)  # what these two share at the start, all names share
    shared = next((place for place, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    return low[: low[:shared].rfind("/") + 1]


def _join(collections: Sequence[Images]) -> Images:
    """Return one collection of several; views of one collection, and files, stay what they are, with what they can."""
    if len(collections) == 1:
        return collections[0]
    views = [images for images in collections if isinstance(images, ImagesView)]
    if len(views) == len(collections) and len({id(view.images) for view in views}) == 1:
        indices = np.concatenate([np.asarray(view.indices, dtype=np.int64) for view in views])
        return ImagesView(views[0].images, indices)
    paths = [_paths(images) for images in collections]
    found = [some for some in paths if some is not None]
    if len(found) == len(paths):
        return FileImages([path for some in found for path in some])
    return JoinedImages(tuple(collections))


def _paths(images: Images) -> Sequence[Path] | None:
    """Return the files of a collection that is of files alone, or a view of one."""
    if isinstance(images, ImagesView):
        inner = _paths(images.images)
        return None if inner is None else [inner[int(index)] for index in images.indices]
    return images.paths if type(images) is FileImages else None


@dataclass(frozen=True)
class JoinedImages:
    """Several collections, one after the other."""

    parts: Sequence[Images]

    @property
    def in_memory(self) -> bool:
        """Whether the images are decoded already."""
        return all(getattr(part, "in_memory", False) for part in self.parts)

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __getitem__(self, index: int, /) -> UInt8Array:
        part, place = self._place(index)
        return part[place]

    def open(self, index: int) -> "LazyImage":
        """Return image `index`, not decoded yet where its collection can do that. Raises: ImageError."""
        from imgrec.data.images.lazy_image import open_image

        return open_image(*self._place(index))

    def _place(self, index: int) -> tuple[Images, int]:
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index %= len(self)
        for part in self.parts:
            if index < len(part):
                return part, index
            index -= len(part)
        raise AssertionError
