"""Four OOD scores: maximum softmax probability, energy, k nearest neighbours, Mahalanobis; higher = in-distribution."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Gaussians", "Neighbours", "energy", "max_probability"]

FloatArray = NDArray[np.float64]
CHUNK = 1024  # rows whose distances to all references are in memory at once


def max_probability(logits: FloatArray, *, is_multilabel: bool) -> FloatArray:
    """Return the probability of the most probable class, (N,). Hendrycks and Gimpel 2017, arXiv:1610.02136."""
    best = logits.max(axis=1)
    if is_multilabel:
        return np.asarray(np.exp(-np.logaddexp(0.0, -best)))
    return np.asarray(1 / np.exp(logits - best[:, None]).sum(axis=1))


def energy(logits: FloatArray, *, is_multilabel: bool) -> FloatArray:
    """Return the negative energy, (N,): log of the sum of exp(logit). Liu et al. 2020, arXiv:2010.03759, eq. 4.

    Several labels: the sum over labels of log(1 + exp(logit)). Wang et al. 2021, arXiv:2111.12797, eq. 3.
    """
    if is_multilabel:
        return np.asarray(np.logaddexp(0.0, logits).sum(axis=1))
    return np.asarray(np.logaddexp.reduce(logits, axis=1))


@dataclass(frozen=True)
class Neighbours:
    """Distance to the k-th nearest training image. Sun et al. 2022, arXiv:2204.06507, eq. 4.

    Attributes:
        reference: Features of training images, each of length 1, (R, D).
        k: Which neighbour counts.
    """

    reference: FloatArray
    k: int

    @classmethod
    def of(cls, features: FloatArray, *, k: int) -> "Neighbours":
        """Keep features (R, D) as reference; where there are fewer than k, the farthest counts."""
        return cls(_of_length_one(features), min(k, len(features)))

    def score(self, features: FloatArray) -> FloatArray:
        """Return minus the distance to the k-th nearest reference, (N,), between -2 and 0."""
        unit = _of_length_one(features)
        return np.concatenate([self._score(unit[i : i + CHUNK]) for i in range(0, len(unit), CHUNK)])

    def _score(self, unit: FloatArray) -> FloatArray:
        similarity = np.partition(unit @ self.reference.T, -self.k, axis=1)[:, -self.k]
        return np.asarray(-np.sqrt(np.maximum(2 - 2 * similarity, 0)))


@dataclass(frozen=True)
class Gaussians:
    """Mahalanobis distance to the nearest class mean. Lee et al. 2018, arXiv:1807.03888, eq. 2.

    The covariance is shrunk (Ledoit and Wolf 2004), because there may be fewer images than features.

    Attributes:
        means: One per class, (C, D).
        precision: The inverse covariance that all classes share, (D, D).
    """

    means: FloatArray
    precision: FloatArray

    @classmethod
    def of(cls, features: FloatArray, labels: NDArray[np.int64]) -> "Gaussians":
        """Fit features (R, D) with labels (R,); a class without an image has no mean."""
        from sklearn.covariance import LedoitWolf

        classes, place = np.unique(labels, return_inverse=True)
        means = np.stack([features[labels == label].mean(axis=0) for label in classes])
        fitted = LedoitWolf(assume_centered=True).fit(features - means[place])
        return cls(means, np.asarray(fitted.precision_))

    def score(self, features: FloatArray) -> FloatArray:
        """Return minus the squared Mahalanobis distance to the nearest mean, (N,), 0 or less."""
        gaps = (features - mean for mean in self.means)
        distances = [np.einsum("nd,nd->n", gap @ self.precision, gap) for gap in gaps]
        return -np.asarray(np.min(distances, axis=0))


def _of_length_one(features: FloatArray) -> FloatArray:
    return np.asarray(features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12))
