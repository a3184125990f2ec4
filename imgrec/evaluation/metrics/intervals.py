"""95 % intervals of all metrics of a table, in the structure of the metrics.

They cover the choice of test images, for this trained model: neither another training nor other data. Resampling keeps
the number of images per class; with groups (patients, videos) whole groups are drawn.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.evaluation.metrics.row_metrics import multilabel_rows, single_rows
from imgrec.evaluation.predictions.predictions import Predictions
from imgrec.evaluation.statistics.bootstrap import (
    blend,
    bounded_interval,
    hanley_mcneil,
    positive_interval,
    variance_of,
)
from imgrec.evaluation.statistics.level import LEVEL
from imgrec.evaluation.statistics.proportions import wilson
from imgrec.evaluation.statistics.replicates import MetricTable, multilabel_table, replicate, single_table
from imgrec.evaluation.statistics.resampling import Design, cluster_design, simple_design, stratified_design

__all__ = [
    "FEWEST_GROUPS",
    "RESAMPLES",
    "SEED",
    "Found",
    "draw_replicates",
    "ends_of",
    "flatten",
    "make_design",
    "make_table",
    "metric_intervals",
]

FloatArray = NDArray[np.float64]
RESAMPLES = 1000
SEED = 0
FEWEST_GROUPS = 10  # below, the variance between groups is unreliable (Cameron and Miller 2015, section VI)
# Metrics that are not in [0, 1]: their range, or None where there is no upper end.
_ENDS = {"cohen_kappa": (-1.0, 1.0), "matthews": (-1.0, 1.0), "log_loss": None, "brier": None}
_PLAIN = ("accuracy", "top5", "subset_accuracy")


@dataclass(frozen=True)
class Found:
    """Intervals of metrics.

    Attributes:
        intervals: In the structure of the metrics, [low, high] or None in place of each number.
        method: How they were made.
        notes: Warnings.
    """

    intervals: dict[str, Any]
    method: dict[str, Any]
    notes: list[str]


def make_design(predictions: Predictions) -> Design:
    """Return how the rows of a table are resampled: by group where it has groups, else by class, else freely."""
    labels = predictions.labels.astype(np.int64) if predictions.task == "single" else None
    if predictions.groups is not None:
        return cluster_design(predictions.groups, labels)
    return simple_design(len(predictions)) if labels is None else stratified_design(labels)


def make_table(predictions: Predictions) -> MetricTable:
    """Return what the rows of a table contribute to its metrics."""
    labels, probabilities = predictions.labels.astype(np.int64), predictions.probabilities
    if predictions.task == "single":
        return single_table(labels, probabilities, means=single_rows(labels, probabilities))
    return multilabel_table(labels, probabilities, means=multilabel_rows(labels, probabilities))


def draw_replicates(predictions: Predictions, *, resamples: int = RESAMPLES, seed: int = SEED) -> dict[str, FloatArray]:
    """Return each metric in each resample, by its flat name; see `imgrec.evaluation.statistics.replicates`."""
    return replicate(make_table(predictions), make_design(predictions), resamples=resamples, seed=seed)


def metric_intervals(
    predictions: Predictions, metrics: Mapping[str, Any], replicates: Mapping[str, FloatArray]
) -> Found:
    """Return the intervals of `metrics`, those of the whole table, from their replicates."""
    design = make_design(predictions)
    found: Mapping[str, FloatArray] = {}
    if design.num_units > 1:
        is_grouped = predictions.groups is not None
        found = _Maker(make_table(predictions), design, flatten(metrics), is_grouped).intervals(replicates)
    return Found(_shape(metrics, found), _describe(design, predictions), _group_notes(design, predictions))


@dataclass(frozen=True)
class _Maker:
    """Turns replicates into intervals. values: the metrics by flat name; per-class ones are arrays (C,)."""

    table: MetricTable
    design: Design
    values: Mapping[str, Any]
    is_grouped: bool

    def intervals(self, replicates: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Return name -> (2,) or (2, C)."""
        variances = {name: variance_of(values) for name, values in replicates.items()}
        variances |= self._steady_areas(variances)
        found = {name: self._interval(name, variances[name]) for name in variances}
        return found if self.is_grouped else found | self._shares()

    def _interval(self, name: str, variance: Any) -> FloatArray:
        value = self.values[name]
        ends = _ENDS.get(name.split(".")[0], (0.0, 1.0))
        if ends is None:
            return positive_interval(value, variance, stretch=self._stretch)
        low, high = ends
        return bounded_interval(value, variance, trials=self._trials(name), low=low, high=high, stretch=self._stretch)

    def _steady_areas(self, variances: Mapping[str, Any]) -> dict[str, Any]:
        """Return the variances of AUROC blended with the theoretical one, per class, and that of their mean."""
        own = variances["per_class.auroc"]
        positives, negatives = self._units
        with np.errstate(divide="ignore", invalid="ignore"):
            model = hanley_mcneil(self.values["per_class.auroc"], positives, negatives)
        steady = blend(own, model=model, units=np.minimum(positives, negatives))
        if self.table.is_binary:
            return {"per_class.auroc": steady, "auroc.macro": steady[1]}
        is_there = ~np.isnan(steady)
        before, after = own[is_there].sum(), steady[is_there].sum()
        # Without any variance of its own the mean's is that of independent classes.
        macro = variances["auroc.macro"] * after / before if before > 0 else after / max(is_there.sum(), 1) ** 2
        return {"per_class.auroc": steady, "auroc.macro": macro}

    def _shares(self) -> dict[str, FloatArray]:
        """Return Wilson's intervals of metrics that are counts of independent rows."""
        table = self.table
        num_rows = len(table.is_actual)
        hits, predicted, actual = (
            kind.sum(axis=0) for kind in (table.is_predicted & table.is_actual, table.is_predicted, table.is_actual)
        )
        found = {name: wilson(self.values[name] * num_rows, num_rows) for name in _PLAIN if name in self.values}
        found |= {"per_class.precision": wilson(hits, predicted), "per_class.recall": wilson(hits, actual)}
        if table.is_single:  # one prediction a row: each of these is the accuracy
            found |= {f"{rate}.micro": found["accuracy"] for rate in ("precision", "recall", "f1")}
        if table.has_screening:
            rejected = num_rows - actual - predicted + hits
            found |= {
                "per_class.sensitivity": found["per_class.recall"],
                "per_class.specificity": wilson(rejected, num_rows - actual),
                "per_class.ppv": found["per_class.precision"],
                "per_class.npv": wilson(rejected, num_rows - predicted),
            }
        return found

    def _trials(self, name: str) -> Any:
        """Return the effective number of trials behind a metric: for a class its units; for a mean over classes below.

        If each class is a proportion p of n_k trials, their mean has the variance p (1 - p) sum(1 / n_k) / C^2.
        """
        positives, _ = self._units
        if name.startswith("per_class."):
            return np.maximum(positives, 1)
        if name.endswith((".macro", ".weighted")) or name in ("balanced_accuracy", *_ENDS):
            there = positives[positives > 0]
            return len(there) ** 2 / (1 / there).sum()
        return self.design.num_units

    @property
    def _units(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows, or groups, that contain a class, and that contain another class: two int64 (C,)."""
        actual, design = self.table.is_actual, self.design
        if not self.is_grouped:
            positives = actual.sum(axis=0)
            return positives, len(actual) - positives
        counts = []
        for is_own in (actual, ~actual):
            holds = np.zeros((design.num_units, actual.shape[1]), dtype=bool)
            np.logical_or.at(holds, design.unit, is_own)
            counts.append(holds.sum(axis=0))
        return counts[0], counts[1]

    @property
    def _stretch(self) -> float:
        """Student's t over the normal quantile for G groups, G - 1 degrees of freedom; 1 for rows."""
        if not self.is_grouped:
            return 1.0
        from scipy.special import ndtri, stdtrit

        return float(stdtrit(self.design.num_units - 1, (1 + LEVEL) / 2) / ndtri((1 + LEVEL) / 2))


def ends_of(name: str) -> tuple[float, float]:
    """Return the range of a metric, by its flat name."""
    return _ENDS.get(name.split(".")[0], (0.0, 1.0)) or (0.0, np.inf)


def flatten(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metrics by the names of the replicates; per-class ones as arrays (C,)."""
    flat: dict[str, Any] = {}
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}.{kind}": number for kind, number in value.items()}
        elif isinstance(value, float):
            flat[name] = value
    rows = metrics["per_class"]
    return flat | {f"per_class.{name}": np.array([row[name] for row in rows]) for name in rows[0] if name != "class"}


def _shape(metrics: Mapping[str, Any], found: Mapping[str, FloatArray]) -> dict[str, Any]:
    """Return intervals in the structure of the metrics; counts, names and the confusion matrix have none."""
    shaped: dict[str, Any] = {}
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            shaped[name] = {kind: _pair(found.get(f"{name}.{kind}")) for kind in value}
        elif isinstance(value, float):
            shaped[name] = _pair(found.get(name))
    shaped["per_class"] = [
        {
            name: row[name] if name == "class" else _pair(found.get(f"per_class.{name}"), index)
            for name in row
            if name != "support"
        }
        for index, row in enumerate(metrics["per_class"])
    ]
    return shaped


def _pair(limits: FloatArray | None, index: int | None = None) -> list[float] | None:
    if limits is None:
        return None
    low, high = limits if index is None else limits[:, index]
    return None if np.isnan(low) or np.isnan(high) else [float(low), float(high)]


def _describe(design: Design, predictions: Predictions) -> dict[str, Any]:
    return {
        "level": LEVEL,
        "kind": design.kind,
        "unit": "image" if predictions.groups is None else "group",
        "num_units": design.num_units,
        "reason": _REASONS[design.kind],
    }


_REASONS = {
    "stratified by class": "Images are independent; the number of images per class is kept.",
    "rows": "Images are independent and may have several labels, so classes are not kept.",
    "groups": "Images of a group are not independent, so whole groups are drawn.",
    "groups, stratified by class": "Images of a group are not independent, so whole groups are drawn, class by class.",
}


def _group_notes(design: Design, predictions: Predictions) -> list[str]:
    if predictions.groups is None:
        return []
    if design.num_units < 2:
        return ["All images are from one group: the variance between groups is unknown, so there are no intervals."]
    if design.num_units < FEWEST_GROUPS:
        return [f"Only {design.num_units} groups: the intervals are unreliable; {FEWEST_GROUPS} or more are needed."]
    return []
