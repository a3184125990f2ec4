"""Paired difference of two metrics on the same images, such as with and without TTA, with a bootstrap interval.

Two runs are compared by `imgrec.evaluation.compare` instead: it resamples within classes and whole groups, includes the
variance between trainings, tests, and corrects for multiple pairs.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imgrec.evaluation.metrics.shares import Shares
from imgrec.evaluation.statistics.level import LEVEL

__all__ = ["Gain", "measure_gain"]

NUM_RESAMPLES = 2000
CHUNK = 2_000_000  # drawn numbers at a time


@dataclass(frozen=True)
class Gain:
    """The second metric minus the first, with its 95 % percentile bootstrap interval."""

    difference: float
    low: float
    high: float
    num_resamples: int
    seed: int


def measure_gain(first: Shares, second: Shares, *, seed: int, num_resamples: int = NUM_RESAMPLES) -> Gain:
    """Compare two metrics of the same N images.

    Each resample draws N images with replacement, the same for both. Efron and Tibshirani 1993, "An introduction to
    the bootstrap", chapter 13.
    """
    assert first.name == second.name
    rng = np.random.default_rng(seed)
    columns = np.stack([second.part, second.whole, first.part, first.whole])
    sums = _resampled_sums(columns, rng, num_resamples)
    differences = _difference(sums)
    tail = (1 - LEVEL) / 2
    low, high = np.nanquantile(differences, [tail, 1 - tail])
    whole = _difference(columns.sum(axis=1, keepdims=True))
    return Gain(float(whole[0]), float(low), float(high), num_resamples, seed)


def _resampled_sums(columns: NDArray[np.float64], rng: np.random.Generator, num_resamples: int) -> NDArray[np.float64]:
    """Return the sums of K columns (K, N) over resamples, (K, R). Equal images are drawn together: multinomial."""
    kinds, counts = np.unique(columns, axis=1, return_counts=True)
    num_images = columns.shape[1]
    per_chunk = max(1, CHUNK // len(counts))
    sums = [
        kinds @ rng.multinomial(num_images, counts / num_images, size=min(per_chunk, num_resamples - done)).T
        for done in range(0, num_resamples, per_chunk)
    ]
    return np.concatenate(sums, axis=1)


def _difference(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(sums[0] / sums[1] - sums[2] / sums[3])
