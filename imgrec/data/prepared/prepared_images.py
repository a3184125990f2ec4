"""The images of prepared data: pixels in memory-mapped files, read without decoding."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from imgrec.data.prepared.prepared_format import Manifest, table_path
from imgrec.data.samples import Samples, UInt8Array
from imgrec.errors import ImageError

if TYPE_CHECKING:
    from imgrec.data.images.lazy_image import LazyImage

__all__ = ["Place", "PreparedImages", "PreparedSamples", "open_prepared"]


@dataclass(frozen=True)
class Place:
    """Places of N images: arrays int64 (N,); -1 in `shard` and `offset` for one that could not be read."""

    shard: NDArray[np.int64]
    offset: NDArray[np.int64]
    height: NDArray[np.int64]
    width: NDArray[np.int64]

    def subset(self, rows: NDArray[np.int64]) -> "Place":
        """Return the places of some images."""
        return Place(self.shard[rows], self.offset[rows], self.height[rows], self.width[rows])


class PreparedImages:
    """Images in the files of pixels of prepared data, which each process maps into memory at first use.

    Args:
        root: Folder of the files.
        shards: Names of the files.
        place: Place of each image in them.
        digests: `pixel_digest` of each image.
        bad: Path, code and detail of images that could not be read, by index.
    """

    in_memory: ClassVar[bool] = False  # reading costs little, but resizing and augmenting is worth processes

    def __init__(
        self,
        root: Path,
        shards: Sequence[str],
        *,
        place: Place,
        digests: Sequence[bytes],
        bad: Mapping[int, tuple[str, str, str]],
    ) -> None:
        self.root = root
        self.shards = list(shards)
        self.place = place
        self.digests = digests
        self.bad = dict(bad)
        self._maps: dict[int, UInt8Array] = {}

    def __len__(self) -> int:
        return len(self.place.offset)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the maps: pickling one would copy a whole file."""
        return {**self.__dict__, "_maps": {}}

    def __getitem__(self, index: int, /) -> UInt8Array:
        """Return a copy of image `index`, uint8 (H, W, 3).

        Raises:
            ImageError: Its file could not be read.
        """
        return self.view(index).copy()

    def view(self, index: int) -> UInt8Array:
        """Return a read-only view of image `index`, uint8 (H, W, 3).

        Raises:
            ImageError: Its file could not be read.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index %= len(self)
        if index in self.bad:
            raise ImageError(*self.bad[index])
        place = self.place
        height, width, start = int(place.height[index]), int(place.width[index]), int(place.offset[index])
        pixels = self._map(int(place.shard[index]))
        return pixels[start : start + height * width * 3].reshape(height, width, 3)

    def open(self, index: int) -> "LazyImage":
        """Return image `index` for cropping, without a copy.

        Raises:
            ImageError: Its file could not be read.
        """
        from imgrec.data.images.lazy_image import DecodedImage

        return DecodedImage(self.view(index))

    def batch(self, indices: NDArray[np.int64]) -> UInt8Array:
        """Return copies of several images of one size, uint8 (N, H, W, 3).

        Raises:
            ValueError: They have several sizes.
            ImageError: The file of one could not be read.
        """
        return np.stack([self.view(int(index)) for index in indices])

    def _map(self, shard: int) -> UInt8Array:
        if shard not in self._maps:
            mapped = np.memmap(self.root / self.shards[shard], dtype=np.uint8, mode="r")
            self._maps[shard] = np.asarray(mapped)  # slicing a memmap itself takes several times as long
        return self._maps[shard]


@dataclass(frozen=True)
class PreparedSamples(Samples):
    """Samples with prepared images."""

    images: PreparedImages


def open_prepared(root: Path, manifest: Manifest) -> dict[str, PreparedSamples]:
    """Return the parts of prepared data, with labels that index `manifest.class_names`, -1 for none.

    Does not compare the files with `manifest`; see `Manifest.check`.
    """
    import pyarrow.parquet as pq

    table = pq.read_table(table_path(root))
    columns = {name: table[name].to_pylist() for name in ("name", "group", "digest", "code", "detail")}
    places = [table[name].to_numpy().astype(np.int64) for name in ("shard", "offset", "height", "width")]
    labels = _labels(table["label"].to_pylist(), manifest)
    splits = np.array(table["split"].to_pylist(), dtype=object)
    rows = {part: np.flatnonzero(splits == part).astype(np.int64) for part in manifest.counts}
    shards = [shard.name for shard in manifest.shards]
    return {
        part: _samples(root, shards, columns, places=Place(*places).subset(of_part), labels=labels, rows=of_part)
        for part, of_part in rows.items()
    }


def _samples(
    root: Path,
    shards: Sequence[str],
    columns: Mapping[str, Sequence[Any]],
    *,
    places: Place,
    labels: NDArray[np.int64] | NDArray[np.uint8],
    rows: NDArray[np.int64],
) -> PreparedSamples:
    names, groups, digests, codes, details = ([column[row] for row in rows] for column in columns.values())
    bad = {index: (names[index], code, details[index]) for index, code in enumerate(codes) if code}
    return PreparedSamples(
        names=names,
        images=PreparedImages(root, shards, place=places, digests=digests, bad=bad),
        labels=labels[rows],
        groups=None if None in groups else groups,
    )


def _labels(values: Sequence[Any], manifest: Manifest) -> NDArray[np.int64] | NDArray[np.uint8]:
    """Return labels int64 (N,), -1 for none, or uint8 (N, C) for several per image."""
    index_of = {name: index for index, name in enumerate(manifest.class_names)}
    if manifest.task != "multilabel":
        return np.array([-1 if value is None else index_of[value] for value in values], dtype=np.int64)
    labels = np.zeros((len(values), len(index_of)), dtype=np.uint8)
    for row, names in enumerate(values):
        labels[row, [index_of[name] for name in names]] = 1
    return labels
