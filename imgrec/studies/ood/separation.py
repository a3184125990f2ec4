"""How well a score tells two sets of images apart."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.evaluation.statistics.proportions import Z

__all__ = ["measure_separation"]

FloatArray = NDArray[np.float64]
NUM_BINS = 40


def measure_separation(own: FloatArray, foreign: FloatArray) -> dict[str, Any]:
    """Measure scores that should be higher for `own` (N,) than for `foreign` (M,), as plain data.

    auroc: the probability that an own image scores higher than a foreign one, equal ones counting half; its 95 %
        interval by DeLong et al. 1988, on the logit scale.
    threshold: at or above it lie 95 % of the own images. fpr_at_95_tpr: and this share of the foreign ones.
    histogram: counts of both in common bins; the outermost take in what lies beyond the 0.5 and 99.5 % quantiles.
    """
    threshold = float(np.sort(own)[math.floor(0.05 * len(own))])
    return {
        **_auroc(own, foreign),
        "fpr_at_95_tpr": float((foreign >= threshold).mean()),
        "threshold": threshold,
        "histogram": _histogram(own, foreign),
    }


def _auroc(own: FloatArray, foreign: FloatArray) -> dict[str, float | None]:
    of_own, of_foreign = _placed(own, np.sort(foreign)), 1 - _placed(foreign, np.sort(own))
    auroc = float(of_own.mean())
    low: float | None = None
    high: float | None = None
    if min(len(own), len(foreign)) > 1 and 0 < auroc < 1:
        deviation = math.sqrt(of_own.var(ddof=1) / len(own) + of_foreign.var(ddof=1) / len(foreign))
        logit, half = math.log(auroc / (1 - auroc)), Z * deviation / (auroc * (1 - auroc))
        low, high = (1 / (1 + math.exp(-edge)) for edge in (logit - half, logit + half))
    return {"auroc": auroc, "auroc_low": low, "auroc_high": high}


def _placed(scores: FloatArray, others: FloatArray) -> FloatArray:
    """Return for each score the share of the sorted others that it is above, equal ones counting half."""
    below, up_to = (np.searchsorted(others, scores, side=side) for side in ("left", "right"))
    return np.asarray((below + up_to) / (2 * len(others)))


def _histogram(own: FloatArray, foreign: FloatArray) -> dict[str, list[float] | list[int]]:
    both = np.concatenate([own, foreign])
    low, high = np.quantile(both, [0.005, 0.995])
    edges = np.linspace(low, high if high > low else low + 1, NUM_BINS + 1)
    counts = [np.histogram(np.clip(scores, edges[0], edges[-1]), bins=edges)[0].tolist() for scores in (own, foreign)]
    return {"edges": edges.tolist(), "own": counts[0], "foreign": counts[1]}
