"""What is put in the place of a part of an image to take away what it shows. No torch."""

import cv2
import numpy as np

from imgrec.core.config.checks import check_choice
from imgrec.studies.explain.arrays import UInt8Array

__all__ = ["BASELINES", "make_baseline"]

BASELINES = ("blurred", "mean", "black")
_BLUR_SHARE = 1 / 16  # of the longer side: 14 px at 224, at which no part of an object can be made out any more


def make_baseline(image: UInt8Array, kind: str) -> UInt8Array:
    """Return an image (H, W, 3) of the same size without what is to be seen on `image`.

    blurred: by a Gaussian of 1/16 of the longer side: the colours stay, no edge is added (Fong and Vedaldi 2017).
    mean: the mean colour of the image (Petsiuk et al. 2018 delete so). black: zeros (Sundararajan et al. 2017), which
        is itself an object with edges where a part of a bright image is taken away.
    Raises: ConfigError: another kind.
    """
    check_choice("explain.baseline", kind, BASELINES)
    if kind == "black":
        return np.zeros_like(image)
    if kind == "mean":
        return np.broadcast_to(image.mean(axis=(0, 1)).round().astype(np.uint8), image.shape).copy()
    sigma = max(image.shape[:2]) * _BLUR_SHARE
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), dtype=np.uint8)
