"""Crop and resize decoded pixels, with anti-aliasing."""

import math
from typing import Literal

import numpy as np
from PIL import Image

from imgrec.data.samples import UInt8Array

__all__ = ["Box", "WindowInterpolation", "resized_part"]

# left, top, right, bottom; whole numbers cut between pixels, others through them.
Box = tuple[float, float, float, float]
WindowInterpolation = Literal["fast", "nearest", "bilinear", "bicubic", "lanczos"]


def resized_part(
    image: UInt8Array, box: Box, *, size: tuple[int, int], interpolation: WindowInterpolation = "bilinear"
) -> UInt8Array:
    """Crop an image to `box`, then resize the part.

    Args:
        image: uint8 (H, W, 3).
        box: Left, top, right, bottom in pixels.
        size: (height, width) of the result.
        interpolation: Pillow's, anti-aliased for downscaling (except "nearest"). "fast" is "bilinear" by torch and
            OpenCV for whole pixels: four times as fast, and at most 1 of 255 different.

    Returns:
        uint8 (height, width, 3).
    """
    left, top, right, bottom = math.floor(box[0]), math.floor(box[1]), math.ceil(box[2]), math.ceil(box[3])
    part = image[top:bottom, left:right]
    inside = (box[0] - left, box[1] - top, box[2] - left, box[3] - top)
    if interpolation == "fast":
        if inside == (0, 0, part.shape[1], part.shape[0]):
            return _fast_bilinear(part, size)
        interpolation = "bilinear"
    resample = Image.Resampling[interpolation.upper()]
    return np.array(Image.fromarray(part).resize((size[1], size[0]), resample, box=inside))


def _fast_bilinear(part: UInt8Array, size: tuple[int, int]) -> UInt8Array:
    height, width = part.shape[:2]
    if (height, width) == size:
        return part.copy()
    if height <= size[0] and width <= size[1]:
        return _enlarged(part, size)
    import cv2
    from torch import from_numpy
    from torch.nn.functional import interpolate

    # (1, 3, H, W) whose bytes lie as in the image, which torch's uint8 code takes without converting
    channels_last = from_numpy(np.require(part[None], requirements=("C", "W"))).permute(0, 3, 1, 2)
    planes = interpolate(channels_last, size=size, mode="bilinear", antialias=True)[0].numpy()
    return np.asarray(cv2.merge(list(planes)), dtype=np.uint8)  # torch takes 20 times as long to put it back


def _enlarged(part: UInt8Array, size: tuple[int, int]) -> UInt8Array:
    """Return the image enlarged on both axes, which needs no anti-aliasing."""
    import cv2

    result = cv2.resize(part, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(result, dtype=np.uint8)
