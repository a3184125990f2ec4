"""Similarity of two saliency maps of one image: rank correlation and SSIM. No torch."""

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.stats import rankdata

from imgrec.studies.explain.arrays import FloatArray

__all__ = ["rank_correlation", "structural_similarity"]

_SIGMA, _RADIUS = 1.5, 5  # Wang et al. 2004: a Gaussian window of 11 pixels


def rank_correlation(one: FloatArray, other: FloatArray) -> float | None:
    """Return Spearman's correlation of the absolute values of two maps (H, W), as Adebayo et al. 2018 do.

    Returns:
        -1 to 1; None where a map is constant.
    """
    ranks = [rankdata(np.abs(values).ravel()) for values in (one, other)]
    if any(np.ptp(rank) == 0 for rank in ranks):
        return None
    return float(np.corrcoef(*ranks)[0, 1])


def structural_similarity(one: FloatArray, other: FloatArray) -> float:
    """Return the SSIM of the absolute values of two maps (H, W), each scaled to a maximum of 1; 1 for equal maps.

    Wang, Bovik, Sheikh, Simoncelli 2004, eq. 13, with Gaussian windows. Windows that reach over the border do not count
    where the maps are large enough.
    """
    x, y = (_scaled(values) for values in (one, other))
    mean_x, mean_y = _windowed(x), _windowed(y)
    variance_x, variance_y = _windowed(x * x) - mean_x**2, _windowed(y * y) - mean_y**2
    covariance = _windowed(x * y) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    ssim = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    ssim /= (mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2)
    inner = ssim[_RADIUS:-_RADIUS, _RADIUS:-_RADIUS] if min(ssim.shape) > 2 * _RADIUS else ssim
    return float(inner.mean())


def _scaled(values: FloatArray) -> FloatArray:
    absolute = np.abs(values)
    largest = absolute.max()
    return absolute / largest if largest > 0 else absolute


def _windowed(values: FloatArray) -> FloatArray:
    return np.asarray(gaussian_filter(values, _SIGMA, radius=_RADIUS))
