"""One image as prepared data keeps it: the first half of `Preprocess(mode="crop")`, its resize without its crop."""

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
from imgrec.data.samples import Images, ImagesView, Samples, UInt8Array
from imgrec.errors import ImageError

__all__ = ["MAX_SIDE_PX", "Shrink", "Shrunk", "file_paths", "kept_size", "shrink_all"]

# Above it, the longest strip that imgrec reads is more than `Preprocess` resizes as a whole before its crop.
MAX_SIDE_PX = 1536
TIMEOUT_S = 60.0  # for one image; 89 megapixels take about 2 s


@dataclass(frozen=True)
class Shrunk:
    """An image made ready. pixels: uint8 (H, W, 3). source_size: height and width before. digest: of `pixels`."""

    pixels: UInt8Array
    source_size: tuple[int, int]
    digest: bytes


@dataclass(frozen=True)
class Shrink:
    """Resizes images until their shorter side is `side` pixels; smaller ones stay as they are.

    A square `Preprocess(mode="crop", resize=side)` of the same interpolation then does to the result what is left of
    what it would have done to the image: the same pixels, bit for bit.
    Raises: ConfigError: a value that does not fit.
    """

    side: int = 256
    interpolation: Interpolation = "bilinear"

    def __post_init__(self) -> None:
        check_count("--side", self.side, at_least=8, at_most=MAX_SIDE_PX)
        check_choice("--interpolation", self.interpolation, get_args(Interpolation))

    def __call__(self, image: UInt8Array) -> UInt8Array:
        """Return the image, uint8 (H, W, 3), in the size that is kept."""
        height, width = kept_size(image.shape[0], image.shape[1], side=self.side)
        if (height, width) == image.shape[:2]:
            return image
        resample = Image.Resampling[self.interpolation.upper()]
        return np.array(Image.fromarray(image).resize((width, height), resample))

    def read(self, images: Images, index: int) -> Shrunk | ImageError:
        """Return image `index` made ready, or what is wrong with it."""
        try:
            image = images[index]
        except ImageError as error:
            return error
        pixels = np.ascontiguousarray(self(image))
        return Shrunk(pixels, (image.shape[0], image.shape[1]), pixel_digest(pixels))


def kept_size(height: int, width: int, *, side: int) -> tuple[int, int]:
    """Return the height and width that prepared data keeps; the longer side is rounded down, as `Preprocess` does."""
    if min(height, width) <= side:
        return height, width
    return (side, width * side // height) if width >= height else (height * side // width, side)


def shrink_all(
    samples: Samples, shrink: Shrink, *, workers: int | None = None, timeout_s: float = TIMEOUT_S
) -> Iterator[tuple[int, Shrunk | ImageError]]:
    """Yield (index, image or what is wrong with it) of all samples, in the order in which they get done.

    Files are decoded by `workers` processes (None: one a processor), where a crash or a hang costs one image; all
    other images by this one, in order.
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


def file_paths(images: Images) -> list[Path] | None:
    """Return the files of a collection that is of files, or a view of one."""
    if isinstance(images, ImagesView):
        inner = file_paths(images.images)
        return None if inner is None else [inner[int(index)] for index in images.indices]
    return list(images.paths) if type(images) is FileImages else None
