"""95 % intervals of all scores of a table, in the structure of the scores.

What they are about: other test sets drawn like this one, scored by the same network. Classes keep their numbers of
images; with groups (patients, videos) whole groups are drawn. They tell nothing of another training or other data.
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
from imgrec.evaluation.statistics.proportions import LEVEL, wilson
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
FEWEST_GROUPS = 10  # below, a variance between groups is hardly known (Cameron and Miller 2015, section VI)
# Scores that are no shares: their ends, or None where there is no upper one.
_ENDS = {"cohen_kappa": (-1.0, 1.0), "matthews": (-1.0, 1.0), "log_loss": None, "brier": None}
_PLAIN = ("accuracy", "top5", "subset_accuracy")


@dataclass(frozen=True)
class Found:
    """intervals: the structure of the scores with [low, high] or None. method: how they were made. notes: warnings."""

    intervals: dict[str, Any]
    method: dict[str, Any]
    notes: list[str]


def make_design(predictions: Predictions) -> Design:
    """Return how the rows of a table are resampled: by groups where it has some, else by class, else at large."""
    labels = predictions.labels.astype(np.int64) if predictions.task == "single" else None
    if predictions.groups is not None:
        return cluster_design(predictions.groups, labels)
    return simple_design(len(predictions)) if labels is None else stratified_design(labels)


def make_table(predictions: Predictions) -> MetricTable:
    """Return what the rows of a table contribute to its scores."""
    labels, probabilities = predictions.labels.astype(np.int64), predictions.probabilities
    if predictions.task == "single":
        return single_table(labels, probabilities, means=single_rows(labels, probabilities))
    return multilabel_table(labels, probabilities, means=multilabel_rows(labels, probabilities))


def draw_replicates(predictions: Predictions, *, resamples: int = RESAMPLES, seed: int = SEED) -> dict[str, FloatArray]:
    """Return each score of a table in each resample, by its flat name; see `imgrec.evaluation.statistics.replicates`."""
    return replicate(make_table(predictions), make_design(predictions), resamples=resamples, seed=seed)


def metric_intervals(
    predictions: Predictions, scores: Mapping[str, Any], replicates: Mapping[str, FloatArray]
) -> Found:
    """Return the intervals of `scores`, those of the whole table, from the same scores in resamples of it."""
    design = make_design(predictions)
    found: Mapping[str, FloatArray] = {}
    if design.num_units > 1:
        is_grouped = predictions.groups is not None
        found = _Maker(make_table(predictions), design, flatten(scores), is_grouped).intervals(replicates)
    return Found(_shape(scores, found), _describe(design, predictions), _group_notes(design, predictions))


@dataclass(frozen=True)
class _Maker:
    """Turns replicates into intervals. values: the scores by flat name; those of classes are arrays (C,)."""

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
        value, score = self.values[name], name.split(".")[0]
        ends = _ENDS.get(score, (0.0, 1.0))
        if ends is None:
            return positive_interval(value, variance, stretch=self._stretch)
        low, high = ends
        return bounded_interval(value, variance, trials=self._trials(name), low=low, high=high, stretch=self._stretch)

    def _steady_areas(self, variances: Mapping[str, Any]) -> dict[str, Any]:
        """Return the variances of AUROC with the theoretical one mixed in, class by class; the mean's follows suit."""
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
        """Return Wilson's intervals of what is counted row by row; valid where rows are independent."""
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
        """Return the trials that a score rests on: of a class its units; of a mean over classes what has its variance.

        Were each class a share p of n_k trials, a mean over C classes had the variance p (1 - p) sum(1 / n_k) / C^2.
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
        """Rows, or groups, that hold a class, and that hold something else: two int64 (C,)."""
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
    """Return the least and the most that a score can be, by its flat name."""
    return _ENDS.get(name.split(".")[0], (0.0, 1.0)) or (0.0, np.inf)


def flatten(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Return the scores by the names of the replicates; those of classes as arrays (C,)."""
    flat: dict[str, Any] = {}
    for name, value in scores.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}.{kind}": number for kind, number in value.items()}
        elif isinstance(value, float):
            flat[name] = value
    rows = scores["per_class"]
    return flat | {f"per_class.{name}": np.array([row[name] for row in rows]) for name in rows[0] if name != "class"}


def _shape(scores: Mapping[str, Any], found: Mapping[str, FloatArray]) -> dict[str, Any]:
    """Return intervals in the structure of the scores; counts, names and the confusion matrix have none."""
    shaped: dict[str, Any] = {}
    for name, value in scores.items():
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
        for index, row in enumerate(scores["per_class"])
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
    "stratified by class": "The numbers of images per class are taken as given; images are independent.",
    "rows": "An image may have several labels, so there is no class to draw by; images are independent.",
    "groups": "Images of a group resemble each other, so whole groups are drawn.",
    "groups, stratified by class": "Images of a group resemble each other, so whole groups are drawn, by class.",
}


def _group_notes(design: Design, predictions: Predictions) -> list[str]:
    if predictions.groups is None:
        return []
    if design.num_units < 2:
        return ["All images are of one group: how groups differ is unknown, so there are no intervals."]
    if design.num_units < FEWEST_GROUPS:
        return [f"Only {design.num_units} groups: the intervals are unreliable; {FEWEST_GROUPS} or more are needed."]
    return []
