"""An image divided into cells, in which maps are compared and images masked. No torch.

Why not pixel by pixel. Methods differ in grain: Grad-CAM is smooth, gradients are speckled. Speckles deleted one by one
tear up an image everywhere, which lowers any score whatever the order; so would a random order of pixels. Cells give
every method, and the random orders that they are measured against, the same grain.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgrec.studies.explain.arrays import FloatArray

__all__ = ["MOST_CELLS", "Cells", "make_cells"]

MOST_CELLS = 14  # along a side: 16 px each at 224, the grid of tokens of a ViT-B/16


class Cells(NamedTuple):
    """numbers: int64 (H, W), the cell that each pixel is in, 0 to K - 1 row by row. shape: rows, columns."""

    numbers: NDArray[np.int64]
    shape: tuple[int, int]

    @property
    def number(self) -> int:
        """K, the number of cells."""
        return self.shape[0] * self.shape[1]

    def means(self, values: FloatArray) -> FloatArray:
        """Return the mean over each cell (K,) of a map (H, W)."""
        sums = np.bincount(self.numbers.ravel(), weights=values.ravel(), minlength=self.number)
        return np.asarray(sums / np.bincount(self.numbers.ravel(), minlength=self.number))


def make_cells(height: int, width: int, *, most: int = MOST_CELLS) -> Cells:
    """Divide an image into at most `most` cells along each side, of sizes that differ by a pixel at most."""
    rows, columns = min(height, most), min(width, most)
    row = np.arange(height) * rows // height
    column = np.arange(width) * columns // width
    return Cells(row[:, None] * columns + column[None, :], (rows, columns))
