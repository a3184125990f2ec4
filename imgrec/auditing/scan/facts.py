"""What a scan knows about a data set: small facts about each image, never its pixels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from imgrec.data.samples import Samples, UInt8Array

__all__ = ["FACTS_VERSION", "NUM_HASHES", "THUMBNAIL_PX", "FactsTable", "ImageFacts", "facts_table"]

FACTS_VERSION = 1  # part of the key under which facts are kept: raise it when any fact is computed in another way
THUMBNAIL_PX = 32
NUM_HASHES = 8  # perceptual hashes an image, see imgrec.auditing.scan.hashes
DIGEST_BYTES = 16


@dataclass(frozen=True)
class ImageFacts:
    """The facts of one image. What each means is said at `FactsTable`; here `pixel_hash` is `bytes` of length 16.

    For an image that cannot be used (`code` is not ""), all that is known: at most the file's size, digest and header.
    """

    code: str = ""
    detail: str = ""
    flags: tuple[str, ...] = ()
    format: str = ""
    mode: str = ""
    width: int = 0
    height: int = 0
    num_bytes: int = 0
    file_sha256: str = ""
    pixel_hash: bytes = b""
    hashes: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(NUM_HASHES, np.uint64))
    thumbnail: UInt8Array = field(default_factory=lambda: np.zeros((THUMBNAIL_PX, THUMBNAIL_PX), np.uint8))
    brightness: float = 0.0
    contrast: float = 0.0
    sharpness: float = 0.0
    colorfulness: float = 0.0
    border: float = 0.0


@dataclass(frozen=True)
class FactsTable:
    """The facts of N images, all splits one after the other; row i of every column is the same image.

    split, name: where the image belongs and what tables and messages call it, as in `Samples.names`.
    label: int64 (N,) index into `class_names`; -1: none, or several (multi-label).
    group: patient, video, site; None where the data name none.
    code: "" for an image that can be used, else why not: a code of `ImageError`, `crashed` (its decoder took the
        process down, twice) or `timeout`. Columns from `pixel_hash` on are zero in such rows. `detail`: in words.
    flags: what is worth knowing of a file that can be used: no_eoi, animated, wrong_extension, extreme_aspect (above
        50), exif_rotated, icc_profile, gray, palette, cmyk, alpha, sixteen_bit.
    format, mode: as Pillow calls them, "" for images in memory.
    width, height: int32 pixels, upright. num_bytes: int64, the file's, or the array's for images in memory.
    file_sha256: hexadecimal, "" for images in memory.
    pixel_hash: S16, BLAKE2b of shape and upright RGB pixels: equal if and only if the decoded images are.
    hashes: uint64 (N, NUM_HASHES), perceptual, see `imgrec.auditing.scan.hashes`.
    thumbnail: uint8 (N, 32, 32), gray, squashed with anti-aliasing.
    The rest is float32 (N,), measured on the image reduced to at most 256 px a side, see `imgrec.auditing.scan.measure`:
    brightness: mean gray, 0-255. contrast: standard deviation of gray, 0-127.5.
    sharpness: variance of the Laplacian of gray, 0 and up. colorfulness: Hasler and Suesstrunk 2003, 0 (gray) and up.
    border: share of the area in a frame of constant gray, 0 (none) to 1 (a blank image).
    """

    split: list[str]
    name: list[str]
    label: NDArray[np.int64]
    class_names: list[str]
    group: list[str] | None
    code: list[str]
    detail: list[str]
    flags: list[tuple[str, ...]]
    format: list[str]
    mode: list[str]
    width: NDArray[np.int32]
    height: NDArray[np.int32]
    num_bytes: NDArray[np.int64]
    file_sha256: list[str]
    pixel_hash: NDArray[np.bytes_]
    hashes: NDArray[np.uint64]
    thumbnail: UInt8Array
    brightness: NDArray[np.float32]
    contrast: NDArray[np.float32]
    sharpness: NDArray[np.float32]
    colorfulness: NDArray[np.float32]
    border: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.name)

    @property
    def is_usable(self) -> NDArray[np.bool_]:
        """Bool (N,): which rows are images that can be trained on."""
        return np.array([code == "" for code in self.code], dtype=bool)


def facts_table(
    parts: Mapping[str, Samples], images: Sequence[ImageFacts], *, class_names: Sequence[str]
) -> FactsTable:
    """Return the table of `images`, which are those of all `parts` one after the other."""
    count = len(images)
    assert count == sum(len(part) for part in parts.values())
    has_groups = any(part.groups is not None for part in parts.values())
    groups = [group for part in parts.values() for group in part.groups or [""] * len(part)]
    labels = [
        part.labels if part.labels.ndim == 1 else np.full(len(part), -1, dtype=np.int64) for part in parts.values()
    ]
    return FactsTable(
        split=[split for split, part in parts.items() for _ in range(len(part))],
        name=[name for part in parts.values() for name in part.names],
        label=np.concatenate([*labels, np.empty(0)]).astype(np.int64),
        class_names=list(class_names),
        group=groups if has_groups else None,
        code=[one.code for one in images],
        detail=[one.detail for one in images],
        flags=[one.flags for one in images],
        format=[one.format for one in images],
        mode=[one.mode for one in images],
        width=np.fromiter((one.width for one in images), np.int32, count),
        height=np.fromiter((one.height for one in images), np.int32, count),
        num_bytes=np.fromiter((one.num_bytes for one in images), np.int64, count),
        file_sha256=[one.file_sha256 for one in images],
        pixel_hash=np.array([one.pixel_hash for one in images], dtype=f"S{DIGEST_BYTES}"),
        hashes=np.array([one.hashes for one in images], dtype=np.uint64).reshape(count, NUM_HASHES),
        thumbnail=np.array([one.thumbnail for one in images], np.uint8).reshape(count, THUMBNAIL_PX, THUMBNAIL_PX),
        **{name: np.fromiter((getattr(one, name) for one in images), np.float32, count) for name in _MEASURES},
    )


_MEASURES = ("brightness", "contrast", "sharpness", "colorfulness", "border")
