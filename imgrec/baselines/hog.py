"""Histograms of oriented gradients, a batch at a time. Dalal and Triggs 2005, doi:10.1109/CVPR.2005.177.

The numbers are those of scikit-image's `hog` (without its square root of pixels): hard bins, no interpolation between
cells, blocks normalised by L2-Hys. That takes one picture at a time, and several times as long.
"""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from imgrec.baselines.pixels import FloatArray, gray
from imgrec.data.samples import UInt8Array

__all__ = ["Hog"]

CLIP = 0.2  # no gradient may outweigh all others of its block: Dalal and Triggs 2005, section 6.4
TINY = 1e-5
Float64Array = NDArray[np.float64]


@dataclass(frozen=True)
class Hog:
    """Pictures uint8 (n, H, W, 3) to edges float32 (n, D).

    cells_px: side of a cell; for several, the histograms of each are joined: edges at several scales.
    orientations: bins of 180 degrees. block: cells on a side of what is normalised together, overlapping.
    is_gray: take the brightness; otherwise, at each pixel, the channel with the strongest gradient.
    pad_px: black pixels put around: an edge at the border falls into as many blocks as one in the middle.
    """

    cells_px: tuple[int, ...] = (4,)
    orientations: int = 9
    block: int = 2
    is_gray: bool = False
    pad_px: int = 0

    def __call__(self, pictures: UInt8Array, /) -> FloatArray:
        """Describe each picture by itself."""
        images = gray(pictures)[..., None] if self.is_gray else pictures
        pad = (self.pad_px, self.pad_px)
        strength, angle = _gradients(np.pad(images, ((0, 0), pad, pad, (0, 0))).astype(np.float64))
        bins = np.minimum(angle // (180 / self.orientations), self.orientations - 1).astype(np.int64)
        parts = [_blocks(self._histograms(strength, bins, cell), self.block) for cell in self.cells_px]
        return np.concatenate(parts, axis=1, dtype=np.float32)

    def _histograms(self, strength: Float64Array, bins: NDArray[np.int64], cell: int) -> Float64Array:
        """Return the mean strength by direction: (n, rows, columns, orientations). An incomplete cell is cut off."""
        count, height, width = strength.shape
        rows, columns = height // cell, width // cell
        row, column = (np.arange(size * cell) // cell for size in (rows, columns))
        place = (np.arange(count)[:, None, None] * rows + row[:, None]) * columns + column
        place = place * self.orientations + bins[:, : rows * cell, : columns * cell]
        sums = np.bincount(
            place.ravel(),
            weights=strength[:, : rows * cell, : columns * cell].ravel(),
            minlength=count * rows * columns * self.orientations,
        )
        return (sums / cell**2).reshape(count, rows, columns, self.orientations)

    def __str__(self) -> str:
        cells = " and ".join(map(str, self.cells_px))
        return f"cells of {cells} px, {self.orientations} orientations, blocks of {self.block}x{self.block}, L2-Hys"


def _gradients(images: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return strength and direction (0 to 180 degrees) of the gradient, (n, H, W) each; 0 at the borders."""
    down, across = np.zeros_like(images), np.zeros_like(images)
    down[:, 1:-1] = images[:, 2:] - images[:, :-2]
    across[:, :, 1:-1] = images[:, :, 2:] - images[:, :, :-2]
    strength = np.hypot(across, down)
    if images.shape[3] > 1:
        strongest = strength.argmax(axis=3)[..., None]
        down, across, strength = (np.take_along_axis(values, strongest, axis=3) for values in (down, across, strength))
    return strength[..., 0], np.rad2deg(np.arctan2(down[..., 0], across[..., 0])) % 180


def _blocks(histograms: Float64Array, block: int) -> Float64Array:
    """Return all blocks of `block` x `block` cells, normalised by L2-Hys: (n, D)."""
    windows = sliding_window_view(histograms, (block, block), axis=(1, 2))  # (n, rows, columns, orientations, b, b)
    vectors = np.moveaxis(windows, 3, 5).reshape(*windows.shape[:3], -1)
    clipped = np.minimum(_unit(vectors), CLIP)
    return _unit(clipped).reshape(len(histograms), -1)


def _unit(vectors: Float64Array) -> Float64Array:
    length = np.sqrt((vectors**2).sum(axis=-1, keepdims=True) + TINY**2)
    return np.asarray(vectors / length)
