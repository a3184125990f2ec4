"""A map laid over its image. OpenCV and NumPy, no torch."""

import cv2
import numpy as np

from imgrec.studies.explain.arrays import FloatArray, UInt8Array

__all__ = ["draw_overlay", "scaled"]

_SMOOTHING = (
    1 / 75
)  # of the longer side, 3 px at 224: single speckles of a gradient cannot be seen at the size of a page
_TOP_PERCENT = 99.5  # of the pixels is fully coloured above; a few outliers would leave all others dark
_IMAGE = 0.35  # how light the greyest part of the image below stays


def scaled(values: FloatArray) -> FloatArray:
    """Return a map (H, W) as 0 to 1 for drawing: smoothed, what is below 0 left out, the strongest 0.5 % at 1."""
    sigma = max(values.shape) * _SMOOTHING
    smooth = cv2.GaussianBlur(np.maximum(values, 0).astype(np.float64), (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    top = float(np.percentile(smooth, _TOP_PERCENT)) or float(smooth.max())
    return np.asarray(np.clip(smooth / top, 0, 1)) if top > 0 else np.zeros(values.shape)


def draw_overlay(image: UInt8Array, values: FloatArray) -> UInt8Array:
    """Return the image (H, W, 3) in grey with what speaks for the class in colour, uint8 (H, W, 3).

    From purple over orange to yellow (matplotlib's inferno), which grows lighter evenly: also the colour-blind, and a
    print in grey, tell more from less.
    """
    strength = scaled(values)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64)[:, :, None]
    below = 255 * _IMAGE + grey * (1 - _IMAGE)
    # The map's first third is black in this colour map: begun later, weak places are purple, not dark.
    levels = (255 * (0.25 + 0.75 * strength)).round().astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB).astype(np.float64)
    weight = 0.85 * (strength**0.75)[:, :, None]
    return np.asarray((below * (1 - weight) + colours * weight).round().clip(0, 255), dtype=np.uint8)
