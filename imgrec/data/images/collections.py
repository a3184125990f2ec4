"""Collections of images: in files, read one at a time, or in one array."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from imgrec.data.images.image import read_image, read_regular_file
from imgrec.data.images.limits import refuse_too_small
from imgrec.data.samples import UInt8Array
from imgrec.errors import DataError

if TYPE_CHECKING:
    from imgrec.data.images.lazy_image import LazyImage

__all__ = ["ArrayImages", "FileImages"]


@dataclass(frozen=True)
class FileImages:
    """Images in files, read when indexed; one with a side below MIN_SIDE_PX is an ImageError `too_small`."""

    paths: Sequence[Path]
    in_memory: ClassVar[bool] = False

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int, /) -> UInt8Array:
        image = read_image(self.paths[index])
        refuse_too_small((image.shape[0], image.shape[1]), name=str(self.paths[index]))
        return image

    def open(self, index: int) -> "LazyImage":
        """Return image `index` with only its header parsed.

        Raises:
            ImageError: It cannot be read; some faults are found only when it is decoded.
        """
        from imgrec.data.images.lazy_image import image_from_bytes

        path = self.paths[index]
        return image_from_bytes(read_regular_file(path), name=str(path))


@dataclass(frozen=True)
class ArrayImages:
    """Images in one array: uint8 (N, H, W), (N, H, W, 1) or (N, H, W, 3).

    Raises:
        DataError: Another dtype or shape.
    """

    array: UInt8Array
    in_memory: ClassVar[bool] = True

    def __post_init__(self) -> None:
        shape, dtype = self.array.shape, self.array.dtype
        if dtype != np.uint8:
            raise DataError(f"The images are {dtype}, but must be uint8 with values 0-255. Scale and convert them.")
        if not (len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3))) or 0 in shape[1:]:
            raise DataError(f"The images have shape {shape}, but must be (N, H, W), (N, H, W, 1) or (N, H, W, 3).")

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, index: int, /) -> UInt8Array:
        """Return a copy, so that changes to an image do not reach the data."""
        image = np.atleast_3d(self.array[index])
        return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image.copy()

    def batch(self, indices: NDArray[np.int64]) -> UInt8Array:
        """Return copies of several images at once: uint8 (N, H, W, 3)."""
        images = self.array[indices]
        images = images[..., None] if images.ndim == 3 else images
        return np.repeat(images, 3, axis=3) if images.shape[3] == 1 else images
