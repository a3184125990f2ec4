"""All samples of a data set joined, whatever splits they came in, sorted by name."""

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

__all__ = ["JoinedImages", "file_paths", "pool"]


def pool(parts: Iterable[Samples | None]) -> Samples:
    """Return the samples of all parts, sorted by name.

    A sample without a group, among others that have one, is a group of its own.

    Raises:
        DataError: There are no samples, or two of one name.
    """
    found = [part for part in parts if part is not None and len(part)]
    if not found:
        raise DataError("The data has no images to split.")
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
    """Return the columns that all parts have, concatenated; as texts where one part has texts."""
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
    raise DataError(f"Two images are named {twice}. Splitting needs unique names.")


def _join(collections: Sequence[Images]) -> Images:
    """Return several collections as one; views of one collection and files keep their type."""
    if len(collections) == 1:
        return collections[0]
    views = [images for images in collections if isinstance(images, ImagesView)]
    if len(views) == len(collections) and len({id(view.images) for view in views}) == 1:
        indices = np.concatenate([np.asarray(view.indices, dtype=np.int64) for view in views])
        return ImagesView(views[0].images, indices)
    paths = [file_paths(images) for images in collections]
    found = [some for some in paths if some is not None]
    if len(found) == len(paths):
        return FileImages([path for some in found for path in some])
    return JoinedImages(tuple(collections))


def file_paths(images: Images) -> list[Path] | None:
    """Return the files of `FileImages` or a view of it, None for other collections."""
    if isinstance(images, ImagesView):
        inner = file_paths(images.images)
        return None if inner is None else [inner[int(index)] for index in images.indices]
    return list(images.paths) if type(images) is FileImages else None


@dataclass(frozen=True)
class JoinedImages:
    """The concatenation of several collections."""

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
        """Return image `index`, not decoded yet where its collection supports that.

        Raises:
            ImageError: It cannot be read.
        """
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
