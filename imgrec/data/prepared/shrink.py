"""Resizing for prepared data: the resize of `Preprocess(mode="crop")` without its crop."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from PIL import Image

from imgrec.core.config.checks import check_choice, check_count
from imgrec.core.system.worker_pool import Lost, default_workers, run_in_workers
from imgrec.data.images.collections import FileImages
from imgrec.data.images.preprocess import Interpolation
from imgrec.data.prepared.prepared_format import pixel_digest
from imgrec.data.samples import Images, Samples, UInt8Array
from imgrec.data.splits.join import file_paths
from imgrec.errors import ImageError

__all__ = ["MAX_SIDE_PX", "Shrink", "Shrunk", "kept_size", "shrink_all"]

# Above, the longest image that imgrec reads would be larger than `Preprocess` resizes as a whole before its crop.
MAX_SIDE_PX = 1536
TIMEOUT_S = 60.0  # for one image; 89 megapixels take about 2 s


@dataclass(frozen=True)
class Shrunk:
    """A resized image: pixels uint8 (H, W, 3), height and width before, digest of the pixels."""

    pixels: UInt8Array
    source_size: tuple[int, int]
    digest: bytes


@dataclass(frozen=True)
class Shrink:
    """Resizes images to `side` pixels on their shorter side; smaller ones stay as they are.

    A square `Preprocess(mode="crop", resize=side)` of the same interpolation gives the same pixels from the result as
    from the image itself, bit for bit.

    Args:
        side: Pixels of the shorter side, 8 to `MAX_SIDE_PX`.
        interpolation: Interpolation of the resize.

    Raises:
        ConfigError: An argument is out of range.
    """

    side: int = 256
    interpolation: Interpolation = "bilinear"

    def __post_init__(self) -> None:
        check_count("--side", self.side, at_least=8, at_most=MAX_SIDE_PX)
        check_choice("--interpolation", self.interpolation, get_args(Interpolation))

    def __call__(self, image: UInt8Array) -> UInt8Array:
        """Return the resized image, uint8 (H, W, 3)."""
        height, width = kept_size(image.shape[0], image.shape[1], side=self.side)
        if (height, width) == image.shape[:2]:
            return image
        resample = Image.Resampling[self.interpolation.upper()]
        return np.array(Image.fromarray(image).resize((width, height), resample))

    def read(self, images: Images, index: int) -> Shrunk | ImageError:
        """Return image `index` resized, or the error that reading it raised."""
        try:
            image = images[index]
        except ImageError as error:
            return error
        pixels = np.ascontiguousarray(self(image))
        return Shrunk(pixels, (image.shape[0], image.shape[1]), pixel_digest(pixels))


def kept_size(height: int, width: int, *, side: int) -> tuple[int, int]:
    """Return height and width after resizing; the longer side is rounded down, as in `Preprocess`."""
    if min(height, width) <= side:
        return height, width
    return (side, width * side // height) if width >= height else (height * side // width, side)


def shrink_all(
    samples: Samples, shrink: Shrink, *, workers: int | None = None, timeout_s: float = TIMEOUT_S
) -> Iterator[tuple[int, Shrunk | ImageError]]:
    """Yield (index, image or error) of all samples, as they are finished.

    Files are decoded by `workers` processes (None = one per processor), where a crash or a timeout costs one image;
    other images by this process, in order.
    """
    paths = file_paths(samples.images)
    if paths is None:
        yield from ((index, shrink.read(samples.images, index)) for index in range(len(samples)))
        return
    items = ((index, (str(path), shrink)) for index, path in enumerate(paths))
    found = run_in_workers(_read_file, items, workers=workers or default_workers(), timeout_s=timeout_s)
    for index, result in found:
        if isinstance(result, Lost):
            yield index, ImageError(str(paths[index]), result.code, result.detail)
        else:
            yield index, result


def _read_file(item: tuple[str, Shrink]) -> Shrunk | ImageError:
    path, shrink = item
    return shrink.read(FileImages([Path(path)]), 0)
