"""Perceptual hashes: 64 bits that stay nearly the same when an image is resized, compressed or brightened."""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imgrec.data.samples import UInt8Array

__all__ = ["CROPS", "MIRRORED", "WHOLE", "perceptual_hashes", "phash", "views"]

HASHED_PX = 32
NUM_FREQUENCIES = 8  # per side: 64 coefficients, one bit each

# Columns of `FactsTable.hashes`. A cropped copy is found because it has nearly the hash of a crop of the original;
# crops of 2 to 12 % per side are within a few bits of one of these.
WHOLE, MIRRORED = 0, 1
CROPS: dict[int, tuple[float, float, float, float]] = {  # (left, top, right, bottom) as shares of width and height
    2: (0.025, 0.025, 0.975, 0.975),
    3: (0.05, 0.05, 0.95, 0.95),
    4: (0.0, 0.0, 0.95, 0.95),
    5: (0.05, 0.0, 1.0, 0.95),
    6: (0.0, 0.05, 0.95, 1.0),
    7: (0.05, 0.05, 1.0, 1.0),
}


def phash(images: UInt8Array) -> NDArray[np.uint64]:
    """Hash gray images, uint8 (N, 32, 32), to uint64 (N,).

    Bit (u, v), u down and v across, is set if that coefficient of the cosine transform (type II) is above the median of
    the 8 x 8 lowest: Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash Functions",
    section 3.2.1, with the details of the ImageHash package, whose `phash` gives the same bits.
    """
    return _bits(_coefficients(images))


def perceptual_hashes(gray: UInt8Array) -> NDArray[np.uint64]:
    """Return the hashes of a gray image, uint8 (H, W): of the image, its mirror image and its `CROPS`."""
    whole = _coefficients(views(gray, [(0.0, 0.0, 1.0, 1.0), *CROPS.values()]))
    # The cosine transform of the mirror image: odd frequencies across change their sign.
    mirrored = whole[:1] * np.where(np.arange(NUM_FREQUENCIES) % 2, -1, 1)
    return _bits(np.concatenate([whole[:1], mirrored, whole[1:]]))


def views(gray: UInt8Array, boxes: list[tuple[float, float, float, float]]) -> UInt8Array:
    """Return crops of a gray image, given as shares of its sides, resized to 32 x 32 with anti-aliasing."""
    image = Image.fromarray(gray)
    width, height = image.size
    size = (HASHED_PX, HASHED_PX)
    return np.stack(
        [
            np.asarray(
                image.resize(
                    size, Image.Resampling.BILINEAR, box=(left * width, top * height, right * width, bottom * height)
                )
            )
            for left, top, right, bottom in boxes
        ]
    )


def _coefficients(images: UInt8Array) -> NDArray[np.float64]:
    """Return the lowest frequencies of the two-dimensional cosine transform: (N, 8, 8)."""
    basis = _cosines()
    return basis @ images.astype(np.float64) @ basis.T


def _bits(coefficients: NDArray[np.float64]) -> NDArray[np.uint64]:
    flat = coefficients.reshape(len(coefficients), -1)
    above = flat > np.median(flat, axis=1, keepdims=True)
    return np.packbits(above, axis=1).view(">u8")[:, 0].astype(np.uint64)


@cache
def _cosines() -> NDArray[np.float64]:
    frequency, place = np.arange(NUM_FREQUENCIES)[:, None], np.arange(HASHED_PX)[None]
    return np.cos(np.pi * frequency * (2 * place + 1) / (2 * HASHED_PX))
