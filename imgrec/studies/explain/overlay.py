"""Saliency maps drawn over their image, with OpenCV and NumPy. No torch."""

import cv2
import numpy as np

from imgrec.studies.explain.arrays import FloatArray, UInt8Array

__all__ = ["draw_overlay", "scaled"]

_SMOOTHING = 1 / 75  # of the longer side, 3 px at 224: single pixels of a gradient are invisible on a page
_TOP_PERCENT = 99.5  # percentile that gets the brightest colour: a few outliers would leave all else dark
_IMAGE = 0.35  # brightness that black parts of the image are lifted to


def scaled(values: FloatArray) -> FloatArray:
    """Return a map (H, W) as 0 to 1 for drawing: positive values only, smoothed, the highest 0.5 % at 1."""
    sigma = max(values.shape) * _SMOOTHING
    smooth = cv2.GaussianBlur(np.maximum(values, 0).astype(np.float64), (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    top = float(np.percentile(smooth, _TOP_PERCENT)) or float(smooth.max())
    return np.asarray(np.clip(smooth / top, 0, 1)) if top > 0 else np.zeros(values.shape)


def draw_overlay(image: UInt8Array, values: FloatArray) -> UInt8Array:
    """Return the image in grey with positive attribution in colour.

    The colour map is inferno, from purple (weak) to yellow (strong): its lightness increases evenly, so it can be read
    with colour blindness and in grey print.

    Args:
        image: uint8 (H, W, 3).
        values: The map (H, W).

    Returns:
        uint8 (H, W, 3).
    """
    strength = scaled(values)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64)[:, :, None]
    below = 255 * _IMAGE + grey * (1 - _IMAGE)
    # The first quarter of inferno is almost black: without it weak places are purple.
    levels = (255 * (0.25 + 0.75 * strength)).round().astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB).astype(np.float64)
    weight = 0.85 * (strength**0.75)[:, :, None]
    return np.asarray((below * (1 - weight) + colours * weight).round().clip(0, 255), dtype=np.uint8)
