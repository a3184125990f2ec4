"""Records of a comparison: a run with its metrics, a difference of two runs, a pair of runs."""

from dataclasses import dataclass

from imgrec.evaluation.compare.flips import Flips
from imgrec.evaluation.compare.runs import Run

__all__ = ["LOWER_IS_BETTER", "Difference", "Pair", "RunMetrics"]

LOWER_IS_BETTER = ("log_loss", "brier", "hamming_loss")


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
