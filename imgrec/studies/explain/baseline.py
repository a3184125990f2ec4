"""Baseline images: what replaces a removed part of an image. No torch."""

import cv2
import numpy as np

from imgrec.core.config.checks import check_choice
from imgrec.studies.explain.arrays import UInt8Array

__all__ = ["BASELINES", "make_baseline"]

BASELINES = ("blurred", "mean", "black")
_BLUR_SHARE = 1 / 16  # of the longer side, 14 px at 224: parts of objects cannot be recognised any more


def make_baseline(image: UInt8Array, kind: str) -> UInt8Array:
    """Return an uninformative image of the same size.

    Args:
        image: (H, W, 3).
        kind: "blurred", by a Gaussian of 1/16 of the longer side: keeps colours and adds no edges (Fong and Vedaldi
            2017). "mean", the mean colour (Petsiuk et al. 2018). "black" (Sundararajan et al. 2017): adds edges where
            a part of a bright image is replaced.

    Raises:
        ConfigError: Another kind.
    """
    check_choice("explain.baseline", kind, BASELINES)
    if kind == "black":
        return np.zeros_like(image)
    if kind == "mean":
        return np.broadcast_to(image.mean(axis=(0, 1)).round().astype(np.uint8), image.shape).copy()
    sigma = max(image.shape[:2]) * _BLUR_SHARE
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), dtype=np.uint8)
