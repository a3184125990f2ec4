"""A grid of cells, in which images are masked for deletion and insertion. No torch.

Cells and not pixels: Grad-CAM is smooth, gradients are speckled, and single deleted pixels spread over the image lower
any probability, whatever their order. Cells give every method, and the random orders that it is compared with, the same
resolution.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgrec.studies.explain.arrays import FloatArray

__all__ = ["MOST_CELLS", "Cells", "make_cells"]

MOST_CELLS = 14  # along a side: 16 px each at 224, as the tokens of ViT-B/16


class Cells(NamedTuple):
    """A grid of K cells.

    Attributes:
        numbers: int64 (H, W), the cell of each pixel, 0 to K - 1 row by row.
        shape: Rows and columns.
    """

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
    """Return a grid of at most `most` cells along each side, whose sizes differ by at most one pixel."""
    rows, columns = min(height, most), min(width, most)
    row = np.arange(height) * rows // height
    column = np.arange(width) * columns // width
    return Cells(row[:, None] * columns + column[None, :], (rows, columns))
