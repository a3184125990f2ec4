"""Images in tar files, each read from the place given by an index."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, overload

import numpy as np
from numpy.typing import NDArray

from imgrec.data.images.lazy_image import LazyImage, image_from_bytes
from imgrec.data.samples import Images, ImagesView, UInt8Array
from imgrec.data.shards.shard_cache import Shard, ShardCache
from imgrec.errors import ImageError

__all__ = ["ShardImages", "StringColumn", "base_images", "shards_of"]


@dataclass(frozen=True)
class StringColumn(Sequence[str]):
    """A sequence of texts backed by Arrow, for millions of names that would not fit into memory as Python objects.

    Args:
        column: A `pyarrow.StringArray` without nulls.
    """

    column: Any

    def __len__(self) -> int:
        return len(self.column)

    @overload
    def __getitem__(self, place: int) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> "StringColumn": ...

    def __getitem__(self, place: int | slice) -> "str | StringColumn":
        if isinstance(place, slice):
            return StringColumn(self.column[place])
        text: str = self.column[int(place)].as_py()
        return text

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self.column), 4096):
            yield from self.column[start : start + 4096].to_pylist()


@dataclass(frozen=True)
class ShardImages:
    """N images in shards. One with a side below MIN_SIDE_PX is refused: `too_small`.

    Args:
        shards: The tar files.
        cache: Provides their local paths.
        names: Name of each image in messages.
        shard: int32 (N,), index into `shards`.
        offset: int64 (N,), first byte of the image file in its shard.
        size: int64 (N,), bytes of the image file.
    """

    shards: Sequence[Shard]
    cache: ShardCache
    names: Sequence[str]
    shard: NDArray[np.int32]
    offset: NDArray[np.int64]
    size: NDArray[np.int64]
    in_memory: ClassVar[bool] = False

    def __len__(self) -> int:
        return len(self.shard)

    def __getitem__(self, index: int, /) -> UInt8Array:
        return self.open(index).pixels()

    def open(self, index: int) -> LazyImage:
        """Return image `index` with only its header parsed.

        Raises:
            ImageError: It cannot be read; also raised later, when it is decoded.
        """
        return image_from_bytes(self.read(index), name=self.names[index])

    def read(self, index: int) -> bytes:
        """Return the bytes of the image file.

        Raises:
            ImageError: The shard is truncated.
            DataError: The shard is gone.
        """
        shard, size = self.shards[self.shard[index]], int(self.size[index])
        data = self.cache.read(shard, offset=int(self.offset[index]), size=size)
        if len(data) < size:
            raise ImageError(self.names[index], "truncated", f"{shard.name} ends inside it; copy that file again")
        return data


def base_images(images: Images) -> ShardImages:
    """Return the collection behind views of it."""
    while isinstance(images, ImagesView):
        images = images.images
    assert isinstance(images, ShardImages)
    return images


def shards_of(images: Images) -> NDArray[np.int32]:
    """Return the index of the shard of each image, int32 (N,), of `ShardImages` or a view of it."""
    if isinstance(images, ImagesView):
        numbers: NDArray[np.int32] = shards_of(images.images)[np.asarray(images.indices, dtype=np.int64)]
        return numbers
    return base_images(images).shard
