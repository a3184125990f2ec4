"""All metrics of a table in each of B resamples at once, from the weights of its rows.

Each metric follows from sums over rows times weights, so B resamples are a few matrix products. With all weights 1 a
replicate is the metric itself. Names are those of metrics.json, joined by dots: `f1.macro`. Per-class metrics,
`per_class.f1`, are arrays (C, B), all others (B,).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.evaluation.statistics.agreement import Counts, mean_over_classes, ratio
from imgrec.evaluation.statistics.resampling import Design
from imgrec.evaluation.statistics.weighted_areas import Bands, make_bands

__all__ = ["MetricTable", "log_losses", "multilabel_table", "replicate", "single_table"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
TINY = np.finfo(np.float64).eps


@dataclass(frozen=True)
class MetricTable:
    """What N rows contribute to the metrics of C classes.

    Attributes:
        means: Metrics that are means over rows: name -> float64 (N,), NaN where a row is excluded.
        is_predicted: (N, C).
        is_actual: (N, C).
        probabilities: float64 (N, C).
        is_single: Each row has one label and one prediction.
    """

    means: Mapping[str, FloatArray]
    is_predicted: BoolArray
    is_actual: BoolArray
    probabilities: FloatArray
    is_single: bool

    def metrics(self, weights: FloatArray) -> dict[str, FloatArray]:
        """Return the metrics under weights (N, b)."""
        counts = Counts(*(counter @ weights for counter in self._counters))
        total = weights.sum(axis=0)
        areas = np.array([bands.areas(weights, total) for bands in self._class_bands])  # (C, 2, b)
        means = ratio(self._summands[0] @ weights, self._summands[1] @ weights)
        averages = counts.average_rates()
        of_classes = {
            **counts.rates(),
            "auroc": areas[:, 0],
            "average_precision": areas[:, 1],
            **(counts.screening(total) if self.has_screening else {}),
        }
        return {
            **dict(zip(self.means, means, strict=True)),
            **{f"{name}.{kind}": value for name, kinds in averages.items() for kind, value in kinds.items()},
            "auroc.macro": areas[1, 0] if self.is_binary else mean_over_classes(areas[:, 0]),
            "average_precision.macro": mean_over_classes(areas[:, 1]),
            **(_agreement(counts) if self.is_single else self._pooled_areas(weights, total)),
            **{f"per_class.{name}": value for name, value in of_classes.items()},
        }

    @property
    def has_screening(self) -> bool:
        """Whether each class is a binary problem of its own: two classes, or several labels per row."""
        return self.is_binary or not self.is_single

    @property
    def is_binary(self) -> bool:
        """Whether there are two classes, one label per row."""
        return self.is_single and self.is_actual.shape[1] == 2

    @cached_property
    def _counters(self) -> tuple[Any, Any, Any]:
        """Sparse 0-1 matrices (C, N) whose product with weights gives hits, predicted and actual."""
        from scipy.sparse import csr_array

        kinds = (self.is_predicted & self.is_actual, self.is_predicted, self.is_actual)
        hits, predicted, actual = (csr_array(np.ascontiguousarray(kind.T).astype(np.float64)) for kind in kinds)
        return hits, predicted, actual

    @cached_property
    def _summands(self) -> tuple[Any, Any]:
        """Values of the means, sparse (S, N), 0 where NaN; and 1 where not NaN.

        Sparse, since BLAS threads of a dense product wait for each other, for seconds where another process is busy.
        """
        from scipy.sparse import csr_array

        stacked = np.array(list(self.means.values()))
        return csr_array(np.nan_to_num(stacked)), csr_array((~np.isnan(stacked)).astype(np.float64))

    @cached_property
    def _class_bands(self) -> list[Bands]:
        columns = zip(self.probabilities.T, self.is_actual.T, strict=True)
        return [make_bands(np.ascontiguousarray(scores), np.ascontiguousarray(own)) for scores, own in columns]

    @cached_property
    def _pooled_bands(self) -> Bands:
        num_rows, num_classes = self.is_actual.shape
        rows = np.repeat(np.arange(num_rows), num_classes)
        return make_bands(self.probabilities.ravel(), self.is_actual.ravel(), rows=rows)

    def _pooled_areas(self, weights: FloatArray, total: FloatArray) -> dict[str, FloatArray]:
        auroc, average_precision = self._pooled_bands.areas(weights, total * self.is_actual.shape[1])
        return {"auroc.micro": auroc, "average_precision.micro": average_precision}


def single_table(
    labels: NDArray[np.int64], probabilities: FloatArray, *, means: Mapping[str, FloatArray]
) -> MetricTable:
    """Return the table of one label per row: labels (N,), probabilities (N, C); ties: the first class."""
    classes = np.arange(probabilities.shape[1])
    predicted = probabilities.argmax(axis=1)
    return MetricTable(means, predicted[:, None] == classes, labels[:, None] == classes, probabilities, is_single=True)


def multilabel_table(
    labels: NDArray[np.int64], probabilities: FloatArray, *, means: Mapping[str, FloatArray]
) -> MetricTable:
    """Return the table of several labels per row: labels (N, C) of 0 and 1, probabilities (N, C), p > 0.5 predicted."""
    return MetricTable(means, probabilities > 0.5, labels == 1, probabilities, is_single=False)


def replicate(table: MetricTable, design: Design, *, resamples: int, seed: int) -> dict[str, FloatArray]:
    """Return each metric in `resamples` resamples, the last axis of every array."""
    parts = [table.metrics(weights) for weights in design.chunks(resamples, seed=seed)]
    return {name: np.concatenate([part[name] for part in parts], axis=-1) for name in parts[0]}


def log_losses(probabilities: FloatArray) -> FloatArray:
    """Return -log of each probability, kept one rounding step away from 0 and 1 as scikit-learn does."""
    return np.asarray(-np.log(np.clip(probabilities, TINY, 1 - TINY)))


def _agreement(counts: Counts) -> dict[str, Any]:
    recall = ratio(counts.hits, counts.actual)
    return {
        "balanced_accuracy": mean_over_classes(recall),
        "cohen_kappa": counts.cohen_kappa(),
        "matthews": counts.matthews(),
    }
