"""The records of a comparison: runs with their metrics, and pairs of runs with their differences."""

from dataclasses import dataclass
from html import escape

from imgrec.evaluation.compare.flips import Flips
from imgrec.evaluation.compare.runs import Run
from imgrec.evaluation.predictions.predictions import Predictions

__all__ = ["LOWER_IS_BETTER", "Comparison", "Difference", "Pair", "RunMetrics", "metric_names"]

TOP = 5
LOWER_IS_BETTER = ("log_loss", "brier", "hamming_loss")
_SINGLE = (
    "accuracy", "top5", "balanced_accuracy", "f1.macro", "auroc.macro", "average_precision.macro", "cohen_kappa",
    "matthews", "log_loss", "brier",
)  # fmt: skip
_MULTILABEL = (
    "average_precision.macro", "auroc.macro", "f1.macro", "f1.micro", "subset_accuracy", "hamming_loss", "log_loss",
    "brier",
)  # fmt: skip


@dataclass(frozen=True)
class RunMetrics:
    """The metrics of a run.

    Attributes:
        run: Its tables.
        values: By metric, the mean over its trainings.
        limits: By metric, the 95 % interval; None where undefined.
        by_training: Values of each training.
    """

    run: Run
    values: dict[str, float]
    limits: dict[str, tuple[float, float] | None]
    by_training: list[dict[str, float]]


@dataclass(frozen=True)
class Difference:
    """A metric of run b minus that of run a.

    Attributes:
        metric: Its flat name, such as `f1.macro`.
        a: Value of run a.
        b: Value of run b.
        low: Lower end of the 95 % interval; None where the two never differ, or the metric is undefined.
        high: Upper end; None likewise.
        p: p-value; None likewise.
        variance: Of the difference.
        seed_variance: The part of it due to different trainings.
    """

    metric: str
    a: float
    b: float
    low: float | None
    high: float | None
    p: float | None
    variance: float
    seed_variance: float

    @property
    def value(self) -> float:
        """B - a; NaN where either is undefined."""
        return self.b - self.a


@dataclass(frozen=True)
class Pair:
    """Two runs.

    Attributes:
        a: First run.
        b: Second run.
        differences: Per metric, the main one first.
        classes: Per class, of its recall; with several labels of its average precision.
        flips: Images that only one run predicts correctly.
        test: `"exact"` or `"mid-p"` (McNemar), or `"bootstrap"`.
        p: p-value of the main metric.
        p_holm: p corrected for all pairs.
    """

    a: RunMetrics
    b: RunMetrics
    differences: list[Difference]
    classes: list[Difference]
    flips: Flips
    test: str
    p: float
    p_holm: float

    @property
    def main(self) -> Difference:
        """The difference of the metric that decides."""
        return self.differences[0]


@dataclass(frozen=True)
class Comparison:
    """All runs and all pairs of them; shows itself in a notebook.

    Attributes:
        runs: With their metrics.
        pairs: Every pair of runs.
        first: Table of the first run.
        unit: What was resampled: `"image"` or `"group"`.
        num_units: How many of them.
        resamples: Number of bootstrap resamples.
        seed: Of the resamples.
        kind: How they were drawn.
        notes: Warnings.
    """

    runs: list[RunMetrics]
    pairs: list[Pair]
    first: Predictions
    unit: str
    num_units: int
    resamples: int
    seed: int
    kind: str
    notes: list[str]

    @property
    def verdict(self) -> str:
        """Which run is better, with interval: a sentence for each pair."""
        from imgrec.evaluation.compare.verdict import judge

        return " ".join(judge(pair, self).text for pair in self.pairs)

    def __repr__(self) -> str:
        return f"Comparison(runs={[run.run.name for run in self.runs]}, images={len(self.first)}: {self.verdict})"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(run.run.name)}</td><td>{run.values[metric_names(self.first)[0]]:.4f}</td></tr>"
            for run in self.runs
        )
        head = f"<tr><th>run</th><th>{escape(metric_names(self.first)[0])}</th></tr>"
        return f"<table>{head}{rows}</table><p>{escape(self.verdict)}</p>"


def metric_names(first: Predictions) -> list[str]:
    """Return the metrics that are compared, the one that decides first."""
    names = _SINGLE if first.task == "single" else _MULTILABEL
    return [name for name in names if name != "top5" or len(first.class_names) > TOP]
