"""A comparison of runs: all runs, all pairs of them, and the verdict on each pair."""

from dataclasses import dataclass
from html import escape

from imgrec.evaluation.compare.pairs import Pair, RunMetrics
from imgrec.evaluation.compare.verdict import Verdict, judge
from imgrec.evaluation.predictions.predictions import Predictions

__all__ = ["Comparison", "metric_names"]

TOP = 5
_SINGLE = (
    "accuracy", "top5", "balanced_accuracy", "f1.macro", "auroc.macro", "average_precision.macro", "cohen_kappa",
    "matthews", "log_loss", "brier",
)  # fmt: skip
_MULTILABEL = (
    "average_precision.macro", "auroc.macro", "f1.macro", "f1.micro", "subset_accuracy", "hamming_loss", "log_loss",
    "brier",
)  # fmt: skip


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
        return " ".join(self.judge(pair).text for pair in self.pairs)

    def judge(self, pair: Pair) -> Verdict:
        """Return the verdict on a pair."""
        return judge(pair, num_images=len(self.first), num_units=self.num_units, unit=self.unit)

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
