"""Similarity of two saliency maps of one image: rank correlation. No torch."""

import numpy as np
from scipy.stats import rankdata

from imgrec.studies.explain.arrays import FloatArray

__all__ = ["rank_correlation"]


def rank_correlation(one: FloatArray, other: FloatArray) -> float | None:
    """Return Spearman's correlation of the absolute values of two maps (H, W), as Adebayo et al. 2018 do.

    Returns:
        -1 to 1; None where a map is constant.
    """
    ranks = [rankdata(np.abs(values).ravel()) for values in (one, other)]
    if any(np.ptp(rank) == 0 for rank in ranks):
        return None
    return float(np.corrcoef(*ranks)[0, 1])
