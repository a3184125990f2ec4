"""Brightness of images, which hand-crafted features share."""

import numpy as np
from numpy.typing import NDArray

from imgrec.data.samples import UInt8Array

__all__ = ["FloatArray", "gray", "is_gray"]

FloatArray = NDArray[np.float32]
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601


def gray(images: UInt8Array) -> FloatArray:
    """Return the brightness, float32 (n, H, W), 0 to 255; for a gray image exactly its values."""
    if is_gray(images):
        return images[..., 0].astype(np.float32)
    brightness: FloatArray = images.astype(np.float32) @ _LUMA
    return brightness


def is_gray(images: UInt8Array) -> bool:
    """Tell whether red, green and blue are equal in all images (n, H, W, 3)."""
    first = images[..., :1]
    return bool((images[..., 1:] == first).all())
