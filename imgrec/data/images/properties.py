"""Properties of images (size, brightness, contrast, sharpness), measured in every evaluation."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imgrec.data.samples import UInt8Array

__all__ = ["PROPERTIES", "measure_images", "named_properties", "sharpness"]

FloatArray = NDArray[np.float32]
CHUNK_PX = 65_536  # measured at once: what a processor's cache holds
PROPERTIES = ("height", "width", "brightness", "contrast", "sharpness")
"""The columns of `measure_images`."""


def measure_images(
    images: Sequence[UInt8Array] | UInt8Array, sizes: Sequence[tuple[int, int]] | NDArray[np.int64]
) -> FloatArray:
    """Return the properties of N images of one size, in the order of `PROPERTIES`.

    Brightness is the mean gray value, contrast its standard deviation, both 0-255; sharpness as `sharpness`. They are
    measured after preprocessing, because an image of 4000 px that is a little blurred is sharp at 224 px, and one that
    was enlarged is not.

    Args:
        images: uint8 (N, H, W, 3), preprocessed.
        sizes: (height, width) of each in pixels before preprocessing.

    Returns:
        float32 (N, 5).
    """
    height, width = images[0].shape[:2]
    at_once = max(1, CHUNK_PX // (height * width))
    measured = [_measure(np.asarray(images[first : first + at_once])) for first in range(0, len(images), at_once)]
    sides = np.asarray(sizes, dtype=np.float32).reshape(len(images), 2)
    return np.concatenate([sides, np.concatenate(measured)], axis=1)


def _measure(stack: UInt8Array) -> FloatArray:
    """Return brightness, contrast and sharpness of images (N, H, W, 3): float32 (N, 3)."""
    num_images, height, width = stack.shape[:3]
    # All images as one tall one: at 32 px a call for each would cost more than the measurement.
    tall = Image.fromarray(np.ascontiguousarray(stack).reshape(num_images * height, width, 3))
    gray = np.asarray(tall.convert("L")).reshape(num_images, height, width)
    pixels = gray.reshape(num_images, -1).astype(np.float32)
    return np.column_stack([pixels.mean(axis=1), pixels.std(axis=1), sharpness(gray)]).astype(np.float32)


def named_properties(measured: FloatArray) -> Mapping[str, NDArray[np.float64]]:
    """Return the columns of `measure_images`, (N, 5), by name, and the aspect ratio (width / height)."""
    columns = {name: measured[:, place].astype(np.float64) for place, name in enumerate(PROPERTIES)}
    size = {"height": columns.pop("height"), "width": columns.pop("width")}
    return {**size, "aspect": size["width"] / size["height"], **columns}


def sharpness(gray: UInt8Array) -> FloatArray:
    """Return the variance of the Laplacian of gray images (..., H, W), values 0-255: low without edges; shape (...).

    Pech-Pacheco et al. 2000, "Diatom autofocusing in brightfield microscopy", LAPV. 0 for a side below 3 px.
    """
    if min(gray.shape[-2:]) < 3:
        return np.zeros(gray.shape[:-2], dtype=np.float32)
    values = gray.astype(np.float32)
    inner = values[..., 1:-1, 1:-1]
    around = values[..., :-2, 1:-1] + values[..., 2:, 1:-1] + values[..., 1:-1, :-2] + values[..., 1:-1, 2:]
    return np.asarray((around - 4 * inner).var(axis=(-2, -1)))
