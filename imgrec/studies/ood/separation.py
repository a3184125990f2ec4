"""How well an OOD score separates in-distribution from OOD images: AUROC, FPR at 95 % TPR, histogram."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.evaluation.statistics.level import Z

__all__ = ["measure_separation"]

FloatArray = NDArray[np.float64]
NUM_BINS = 40


def measure_separation(own: FloatArray, ood: FloatArray) -> dict[str, Any]:
    """Measure scores that should be higher for in-distribution images than for OOD images.

    Args:
        own: Scores of in-distribution images, (N,).
        ood: Scores of out-of-distribution images, (M,).

    Returns:
        Plain data. `auroc`: the probability that an in-distribution image scores higher than an OOD image, ties
        counting half, with its 95 % interval (DeLong et al. 1988, on the logit scale). `threshold`: 95 % of the
        in-distribution images score at or above it; `fpr_at_95_tpr`: the share of OOD images that do. `histogram`:
        counts in common bins; the outermost include what lies beyond the 0.5 and 99.5 % quantiles.
    """
    threshold = float(np.sort(own)[math.floor(0.05 * len(own))])
    return {
        **_auroc(own, ood),
        "fpr_at_95_tpr": float((ood >= threshold).mean()),
        "threshold": threshold,
        "histogram": _histogram(own, ood),
    }


def _auroc(own: FloatArray, ood: FloatArray) -> dict[str, float | None]:
    of_own, of_ood = _placed(own, np.sort(ood)), 1 - _placed(ood, np.sort(own))
    auroc = float(of_own.mean())
    low: float | None = None
    high: float | None = None
    if min(len(own), len(ood)) > 1 and 0 < auroc < 1:
        deviation = math.sqrt(of_own.var(ddof=1) / len(own) + of_ood.var(ddof=1) / len(ood))
        logit, half = math.log(auroc / (1 - auroc)), Z * deviation / (auroc * (1 - auroc))
        low, high = (1 / (1 + math.exp(-edge)) for edge in (logit - half, logit + half))
    return {"auroc": auroc, "auroc_low": low, "auroc_high": high}


def _placed(scores: FloatArray, others: FloatArray) -> FloatArray:
    """Return for each score the share of the sorted others that it is above, ties counting half."""
    below, up_to = (np.searchsorted(others, scores, side=side) for side in ("left", "right"))
    return np.asarray((below + up_to) / (2 * len(others)))


def _histogram(own: FloatArray, ood: FloatArray) -> dict[str, list[float] | list[int]]:
    low, high = np.quantile(np.concatenate([own, ood]), [0.005, 0.995])
    edges = np.linspace(low, high if high > low else low + 1, NUM_BINS + 1)
    counts = [np.histogram(np.clip(scores, edges[0], edges[-1]), bins=edges)[0].tolist() for scores in (own, ood)]
    return {"edges": edges.tolist(), "in_distribution": counts[0], "ood": counts[1]}
