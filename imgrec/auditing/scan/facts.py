"""The facts that a scan keeps of each image: `ImageFacts`, and `FactsTable` with a column per fact."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from imgrec.data.samples import Samples, UInt8Array

__all__ = ["FACTS_VERSION", "NUM_HASHES", "THUMBNAIL_PX", "FactsTable", "ImageFacts", "facts_table"]

FACTS_VERSION = 2  # of the cached facts: raise it when a fact, or the text of one, changes
THUMBNAIL_PX = 32
NUM_HASHES = 8  # perceptual hashes per image, see imgrec.auditing.scan.hashes
DIGEST_BYTES = 16


@dataclass(frozen=True)
class ImageFacts:
    """The facts of one image; see `FactsTable` for their meaning. Here `pixel_hash` is `bytes` of length 16.

    For an image that cannot be used (`code` is not ""), at most the size and digest of the file are known.
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

    The last five are measured on the image reduced to at most 256 px a side, see `imgrec.auditing.scan.measure`.

    Attributes:
        split: Name of the split, "all" for unsplit data.
        name: Name in messages and tables, as in `Samples.names`.
        label: int64 (N,) index into `class_names`; -1: none, or several (multi-label).
        class_names: Names of the classes.
        group: Patient, video or site; None if the data has no groups.
        code: "" for a usable image, else the reason: a code of `ImageError`, `crashed` (decoding it killed the
            process twice) or `timeout`. In such rows the columns from `pixel_hash` on are zero.
        detail: The reason as text.
        flags: Peculiarities of a usable file: no_eoi, animated, wrong_extension, extreme_aspect (above 50),
            exif_rotated, icc_profile, gray, palette, cmyk, alpha, sixteen_bit.
        format: As Pillow names it, "" for images in memory.
        mode: As Pillow names it, "" for images in memory.
        width: int32 (N,), pixels after EXIF rotation.
        height: int32 (N,), pixels after EXIF rotation.
        num_bytes: int64 (N,), of the file, or of the array for images in memory.
        file_sha256: Hexadecimal, "" for images in memory.
        pixel_hash: S16 (N,), BLAKE2b of shape and RGB pixels: equal if and only if the decoded images are.
        hashes: uint64 (N, NUM_HASHES), perceptual, see `imgrec.auditing.scan.hashes`.
        thumbnail: uint8 (N, 32, 32), gray, resized to a square with anti-aliasing.
        brightness: float32 (N,), mean gray, 0 to 255.
        contrast: float32 (N,), standard deviation of gray, 0 to 127.5.
        sharpness: float32 (N,), variance of the Laplacian of gray, 0 and up.
        colorfulness: float32 (N,), Hasler and Suesstrunk 2003, 0 (gray) and up.
        border: float32 (N,), share of the area in a frame of constant gray, 0 (none) to 1 (blank).
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

    def __repr__(self) -> str:
        return f"FactsTable(images={len(self)}, classes={len(self.class_names)})"

    def __len__(self) -> int:
        return len(self.name)

    @property
    def is_usable(self) -> NDArray[np.bool_]:
        """Bool (N,): which images can be decoded."""
        return np.array([code == "" for code in self.code], dtype=bool)


def facts_table(
    splits: Mapping[str, Samples], images: Sequence[ImageFacts], *, class_names: Sequence[str]
) -> FactsTable:
    """Return the table of `images`, which are those of all `splits` one after the other."""
    count = len(images)
    assert count == sum(len(samples) for samples in splits.values())
    has_groups = any(samples.groups is not None for samples in splits.values())
    groups = [group for samples in splits.values() for group in samples.groups or [""] * len(samples)]
    labels = [
        samples.labels if samples.labels.ndim == 1 else np.full(len(samples), -1, dtype=np.int64)
        for samples in splits.values()
    ]
    return FactsTable(
        split=[split for split, samples in splits.items() for _ in range(len(samples))],
        name=[name for samples in splits.values() for name in samples.names],
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
