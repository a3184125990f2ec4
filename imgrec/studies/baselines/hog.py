"""Histograms of oriented gradients (HOG) for batches. Dalal and Triggs 2005, doi:10.1109/CVPR.2005.177.

scikit-image's `hog` has neither signed orientations nor interpolation: on 10,000 images of Fashion-MNIST a linear SVM
reaches 0.900 with these features (0.20 ms per image) and 0.879 with scikit-image's of the same size (0.72 ms). Without
both, values equal scikit-image's (without its square root of pixels).
"""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from imgrec.data.samples import UInt8Array
from imgrec.studies.baselines.pixels import FloatArray, gray

__all__ = ["Hog"]

CLIP = 0.2  # of L2-Hys: Dalal and Triggs 2005, section 6.4
TINY = 1e-5
Float64Array = NDArray[np.float64]


@dataclass(frozen=True)
class Hog:
    """Maps images uint8 (n, H, W, 3) to HOG features float32 (n, D).

    Args:
        cell_px: Side of a cell.
        orientations: Number of bins.
        block: Cells along a side of a block; blocks overlap.
        is_signed: Bins cover 360 degrees and not 180, so that dark to bright differs from bright to dark.
        interpolate: Share each gradient among the two nearest bins and the four nearest cells, so that small shifts and
            rotations change little.
        is_gray: Use the brightness; otherwise the channel with the strongest gradient at each pixel.
        pad_px: Black border, so that an edge at the border falls into as many blocks as one in the centre.
    """

    cell_px: int = 4
    orientations: int = 9
    block: int = 2
    is_signed: bool = False
    interpolate: bool = False
    is_gray: bool = False
    pad_px: int = 0

    def __call__(self, batch: UInt8Array, /) -> FloatArray:
        """Return the features of each image."""
        images = gray(batch)[..., None] if self.is_gray else batch
        pad = (self.pad_px, self.pad_px)
        strength, angle = _gradients(np.pad(images, ((0, 0), pad, pad, (0, 0))).astype(np.float64))
        turn = angle % self._degrees * (self.orientations / self._degrees)  # 0 to the number of orientations
        down, across = (_windows(side, self.cell_px, overlap=self.interpolate) for side in strength.shape[1:])
        shares = (self._shares(turn, place) for place in range(self.orientations))
        cells = np.stack([down @ (strength * share) @ across.T for share in shares], axis=-1)
        return _blocks(cells, self.block).astype(np.float32)

    @property
    def _degrees(self) -> int:
        return 360 if self.is_signed else 180

    def _shares(self, turn: Float64Array, place: int) -> NDArray[np.floating] | NDArray[np.bool_]:
        """Return the weight of each gradient in the orientation bin `place`, 0 to 1, (n, H, W)."""
        if not self.interpolate:
            return np.asarray(np.minimum(turn.astype(np.int64), self.orientations - 1) == place)
        away = np.abs(turn - (place + 0.5))
        return np.asarray(np.maximum(1 - np.minimum(away, self.orientations - away), 0))

    def __str__(self) -> str:
        parts = [
            f"cells of {self.cell_px} px",
            f"{self.orientations} orientations of {self._degrees} degrees",
            f"blocks of {self.block}x{self.block}",
            "L2-Hys",
        ]
        parts += ["interpolated"] * self.interpolate + [f"border of {self.pad_px} px"] * (self.pad_px > 0)
        return ", ".join(parts)


def _gradients(images: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return magnitude and direction (-180 to 180 degrees) of the gradient, (n, H, W) each; 0 at the borders."""
    down, across = np.zeros_like(images), np.zeros_like(images)
    down[:, 1:-1] = images[:, 2:] - images[:, :-2]
    across[:, :, 1:-1] = images[:, :, 2:] - images[:, :, :-2]
    strength = np.hypot(across, down)
    if images.shape[3] > 1:
        strongest = strength.argmax(axis=3)[..., None]
        down, across, strength = (np.take_along_axis(values, strongest, axis=3) for values in (down, across, strength))
    return strength[..., 0], np.rad2deg(np.arctan2(down[..., 0], across[..., 0]))


def _windows(side: int, cell: int, *, overlap: bool) -> Float64Array:
    """Return the weight of each pixel along a side in each cell, (cells, side): constant in the cell, or linear.

    Weights sum to 1 per cell; an incomplete cell is dropped.
    """
    centres = (np.arange(side // cell)[:, None] + 0.5) * cell
    away = np.abs(np.arange(side) + 0.5 - centres) / cell
    return np.asarray(np.maximum(1 - away, 0) if overlap else away < 0.5) / cell


def _blocks(histograms: Float64Array, block: int) -> Float64Array:
    """Return all blocks of `block` x `block` cells, normalised by L2-Hys: (n, D)."""
    windows = sliding_window_view(histograms, (block, block), axis=(1, 2))  # (n, rows, columns, orientations, b, b)
    vectors = np.moveaxis(windows, 3, 5).reshape(*windows.shape[:3], -1)
    clipped = np.minimum(_unit(vectors), CLIP)
    return _unit(clipped).reshape(len(histograms), -1)


def _unit(vectors: Float64Array) -> Float64Array:
    length = np.sqrt((vectors**2).sum(axis=-1, keepdims=True) + TINY**2)
    return np.asarray(vectors / length)
