"""Metrics from class counts: precision, recall, F1, specificity, Cohen's kappa, Matthews correlation.

Counts are float64 or int64 with the classes along the first axis: (C,) for one table, (C, B) for B weightings of it.
A zero denominator gives NaN, never 0 or 1, and means over classes ignore it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Counts", "mean_over_classes", "ratio"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Counts:
    """Number of images per class.

    Attributes:
        hits: Label and prediction are the class.
        predicted: The prediction is.
        actual: The label is.
    """

    hits: NDArray[Any]
    predicted: NDArray[Any]
    actual: NDArray[Any]

    def rates(self) -> dict[str, FloatArray]:
        """Return precision, recall and F1 of each class, of the shape of the counts."""
        return {
            "precision": ratio(self.hits, self.predicted),
            "recall": ratio(self.hits, self.actual),
            "f1": ratio(2 * self.hits, self.predicted + self.actual),
        }

    def screening(self, total: Any) -> dict[str, FloatArray]:
        """Return sensitivity, specificity, PPV and NPV of each class against the rest of `total` images."""
        negatives = total - self.actual - self.predicted + self.hits
        return {
            "sensitivity": ratio(self.hits, self.actual),
            "specificity": ratio(negatives, total - self.actual),
            "ppv": ratio(self.hits, self.predicted),
            "npv": ratio(negatives, total - self.predicted),
        }

    def average_rates(self) -> dict[str, dict[str, Any]]:
        """Return precision, recall and F1, each as macro, weighted (by how often a class occurs) and micro mean."""
        total = Counts(*(np.sum(part, axis=0) for part in (self.hits, self.predicted, self.actual)))
        micro = total.rates()
        return {
            name: {
                "macro": mean_over_classes(values),
                "weighted": mean_over_classes(values, self.actual),
                "micro": micro[name],
            }
            for name, values in self.rates().items()
        }

    def cohen_kappa(self) -> Any:
        """Return (agreement - chance) / (1 - chance) for one class a row. Cohen 1960, eq. 1.

        chance: expected agreement of independent labels and predictions with the same frequencies. NaN where it is 1:
        a single class, in labels and predictions.
        """
        total = self.actual.sum(axis=0)
        chance = (self.actual * self.predicted).sum(axis=0)
        return ratio(self.hits.sum(axis=0) * total - chance, total * total - chance)

    def matthews(self) -> Any:
        """Return the correlation of labels and predictions for one class a row. Gorodkin 2004, R_K.

        NaN where all labels, or all predictions, are of one class (scikit-learn returns 0 there).
        """
        total = self.actual.sum(axis=0)
        covariance = self.hits.sum(axis=0) * total - (self.actual * self.predicted).sum(axis=0)
        of_predicted = total * total - (self.predicted * self.predicted).sum(axis=0)
        of_actual = total * total - (self.actual * self.actual).sum(axis=0)
        # Roots before the product: it would overflow 64 bits from 50,000 rows on.
        scale = np.sqrt(np.maximum(of_predicted, 0)) * np.sqrt(np.maximum(of_actual, 0))
        return ratio(covariance, scale)


def ratio(part: Any, whole: Any) -> Any:
    """Return part / whole as float64, NaN where the whole is 0."""
    part, whole = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    return np.divide(part, whole, out=np.full(np.broadcast(part, whole).shape, np.nan), where=whole != 0)


def mean_over_classes(values: FloatArray, weights: NDArray[Any] | None = None) -> Any:
    """Return the (weighted) mean along the first axis, ignoring NaN; NaN where all are.

    Weights that are all zero are ignored, as scikit-learn does.
    """
    is_defined = ~np.isnan(values)
    plain = ratio(np.where(is_defined, values, 0).sum(axis=0), is_defined.sum(axis=0))
    if weights is None:
        return plain
    used = np.where(is_defined, weights, 0)
    weighted = ratio((used * np.where(is_defined, values, 0)).sum(axis=0), used.sum(axis=0))
    return np.where(np.isnan(weighted), plain, weighted)
