"""Hand-crafted features: local binary patterns, colour histograms, and the choice of settings by image size.

Each maps images uint8 (n, H, W, 3) to float32 (n, D), every image independently of the others.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from imgrec.data.samples import UInt8Array
from imgrec.errors import DataError, MissingExtraError
from imgrec.studies.baselines.hog import Hog
from imgrec.studies.baselines.pixels import FloatArray, gray

__all__ = ["ColorHistogram", "Descriptor", "Lbp", "choose_descriptor", "working_factor"]

LEVELS = 8  # of red, green and blue: 512 colours
GRAY_LEVELS = 64
CELLS = 8  # of HOG on the shorter side


class Descriptor(Protocol):
    """Images uint8 (n, H, W, 3) to features float32 (n, D)."""

    def __call__(self, images: UInt8Array, /) -> FloatArray:
        """Return the features of each image."""
        ...

    def __str__(self) -> str:
        """Return the settings as text, for a table."""
        ...


@dataclass(frozen=True)
class Lbp:
    """Histograms of uniform local binary patterns, by scikit-image. Ojala, Pietikainen and Maenpaa 2002.

    Args:
        radii: Of the circles, in pixels. Each has 10 bins: rotation-invariant uniform patterns of 8 points.
        grid: The image is cut into grid x grid parts with a histogram each.
        points: On each circle.
    """

    radii: tuple[int, ...] = (1, 2, 3)
    grid: int = 4
    points: int = 8

    def __call__(self, images: UInt8Array, /) -> FloatArray:
        """Return float32 (n, radii x grid^2 x 10). Raises: MissingExtraError: scikit-image is not installed."""
        return np.stack(
            [np.concatenate([self._one(image, radius) for radius in self.radii]) for image in _bytes(images)]
        )

    def _one(self, image: UInt8Array, radius: int) -> FloatArray:
        try:
            from skimage.feature import local_binary_pattern
        except ImportError as error:
            raise MissingExtraError("scikit-image", "classic") from error
        bins = self.points + 2
        codes = local_binary_pattern(image, self.points, radius, method="uniform").astype(np.int64)  # type: ignore[no-untyped-call]
        parts = [part for rows in np.array_split(codes, self.grid) for part in np.array_split(rows, self.grid, axis=1)]
        return np.concatenate([_shares(part.ravel(), bins) for part in parts])

    def __str__(self) -> str:
        radii = ", ".join(map(str, self.radii))
        return f"uniform, radii of {radii} px, {self.points} points, {self.grid}x{self.grid} parts"


@dataclass(frozen=True)
class ColorHistogram:
    """A joint histogram of 8 levels of red, green and blue (512 bins), or of 64 levels of brightness.

    Swain and Ballard 1991. Values are square roots of shares: their dot product is the Bhattacharyya coefficient.
    """

    is_gray: bool = False

    def __call__(self, images: UInt8Array, /) -> FloatArray:
        """Return float32 (n, 512), or (n, 64) of brightness."""
        if self.is_gray:
            places = _bytes(images).reshape(len(images), -1).astype(np.int64) * GRAY_LEVELS // 256
            return np.stack([_shares(row, GRAY_LEVELS) for row in places])
        levels = images.reshape(len(images), -1, 3).astype(np.int64) * LEVELS // 256
        places = (levels[..., 0] * LEVELS + levels[..., 1]) * LEVELS + levels[..., 2]
        return np.stack([_shares(row, LEVELS**3) for row in places])

    def __str__(self) -> str:
        return f"{GRAY_LEVELS} levels of brightness" if self.is_gray else f"{LEVELS}x{LEVELS}x{LEVELS} colours"


def choose_descriptor(name: str, *, height_width: tuple[int, int], is_gray: bool) -> Descriptor:
    """Return the descriptor `hog`, `lbp` or `color` with settings for images of this size.

    HOG gets 16 signed orientations, interpolation, and about 8 cells along the shorter side (4 px each at 28 and 32).
    Gray images up to 32 px, mostly one object that fills them, get a black border of half a cell.

    Raises:
        DataError: The images are too small.
    """
    shorter = min(height_width)
    if name == "hog":
        return _choose_hog(shorter, is_gray=is_gray)
    if name == "lbp":
        if shorter < 8:
            raise DataError(f"LBP needs images of 8 px or more, these are {_times(height_width)}. Omit lbp.")
        # A circle of radius 3 nearly fills an image of 8 px; a grid of 4 has parts of 7x7 px at 28 px, 28x28 at 112.
        return Lbp(radii=(1, 2, 3) if shorter >= 16 else (1,), grid=4 if shorter >= 16 else 2)
    assert name == "color"
    return ColorHistogram(is_gray=is_gray)


def _choose_hog(shorter: int, *, is_gray: bool) -> Hog:
    if shorter < 4:
        raise DataError(f"HOG needs images of 4 px or more, these have a side of {shorter}. Omit hog.")
    cell = max(2, round(shorter / CELLS))
    pad_px = cell // 2 if is_gray and shorter <= 32 else 0
    return Hog(cell, orientations=16, is_signed=True, interpolate=True, is_gray=is_gray, pad_px=pad_px)


def _bytes(images: UInt8Array) -> UInt8Array:
    """Return the brightness as uint8 (n, H, W)."""
    return np.asarray(np.rint(gray(images)), dtype=np.uint8)


def _shares(places: NDArray[np.int64], bins: int) -> FloatArray:
    counts = np.bincount(places, minlength=bins)
    return np.sqrt(counts / max(1, len(places))).astype(np.float32)


def _times(height_width: Sequence[int]) -> str:
    return "x".join(str(side) for side in height_width)


def working_factor(height_width: tuple[int, int], *, largest_px: int = 128) -> int:
    """Return the integer factor that reduces the longer side to at most `largest_px`: 2 for 224 px."""
    return max(1, math.ceil(max(height_width) / largest_px))
