"""Compares runs on the same images: differences with intervals and tests, overall and per class.

The images are resampled once for all runs, so that the difficulty of an image cancels out of a difference. With one
training per run the trained models are compared. With several, the variance between trainings is added: s^2 / S for a
run of S trainings, with Satterthwaite's degrees of freedom. Both variances include the interaction of images and
trainings, so intervals are slightly conservative.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.errors import ConfigError
from imgrec.evaluation.compare.align import Aligned
from imgrec.evaluation.compare.comparison import Comparison, metric_names
from imgrec.evaluation.compare.flips import find_flips
from imgrec.evaluation.compare.pairs import Difference, Pair, RunMetrics
from imgrec.evaluation.compare.runs import Run
from imgrec.evaluation.metrics.compute import compute_metrics
from imgrec.evaluation.metrics.intervals import (
    FEWEST_GROUPS,
    RESAMPLES,
    SEED,
    draw_replicates,
    ends_of,
    flatten,
    make_design,
    metric_intervals,
)
from imgrec.evaluation.predictions.predictions import Predictions
from imgrec.evaluation.statistics.bootstrap import variance_of
from imgrec.evaluation.statistics.multiple import holm
from imgrec.evaluation.statistics.paired import (
    FEW_PAIRS,
    combine_errors,
    mcnemar,
    paired_shares,
    student_interval,
    two_sided,
)
from imgrec.evaluation.statistics.resampling import Design

__all__ = ["compare", "compare_runs"]

FloatArray = NDArray[np.float64]
ROUNDING = 1e-24  # a variance below is rounding error of a metric that never differs


def compare(*runs: Any, seed: int = SEED) -> Comparison:
    """Compare two or more runs on the same images; the same as `imgrec compare RUN RUN`.

    Args:
        *runs: Run folders, evaluations or predictions tables, each also as `"name=path"` or a pattern of several
            trainings (`"adam=outputs/adam/seed_*"`). Also what `imgrec.train` and `imgrec.evaluate` return.
        seed: Of the resamples.

    Returns:
        The comparison: `verdict`, `pairs`, `runs`.

    Raises:
        ConfigError: Fewer than two runs, or something that is not a run.
        DataError: No predictions table, or runs on other images.
    """
    from imgrec.evaluation.compare.align import align
    from imgrec.evaluation.compare.runs import read_runs

    return compare_runs(align(read_runs([_place(run) for run in runs])), seed=seed)


def _place(run: Any) -> str:
    place = getattr(run, "folder", run)
    if not isinstance(place, str | Path):
        raise ConfigError(
            f"A run is a path, or what imgrec.train or imgrec.evaluate returned, not a value of type "
            f"{type(run).__name__}. Several trainings of one run are one text: 'name=path,path'."
        )
    return str(place)


def compare_runs(aligned: Aligned, *, resamples: int = RESAMPLES, seed: int = SEED) -> Comparison:
    """Compare each run with each other one."""
    first = aligned.runs[0].tables[0]
    design = make_design(first)
    engine = _Engine(first, design, resamples=resamples, seed=seed)
    judged = [engine.judge(run) for run in aligned.runs]
    pairs = [engine.pair(judged[i], judged[j]) for i, j in combinations(range(len(judged)), 2)]
    adjusted = holm([pair.p for pair in pairs]).tolist()
    return Comparison(
        runs=[one.metrics for one in judged],
        pairs=[replace(pair, p_holm=p) for pair, p in zip(pairs, adjusted, strict=True)],
        first=first,
        unit="image" if first.groups is None else "group",
        num_units=design.num_units,
        resamples=resamples,
        seed=seed,
        kind=design.kind,
        notes=[*aligned.notes, *_notes(aligned.runs, design, first)],
    )


@dataclass(frozen=True)
class _Judged:
    """A run with its replicates: name -> (S, B) or (S, C, B) for S trainings; values (S,) or (S, C)."""

    metrics: RunMetrics
    values: Mapping[str, FloatArray]
    replicates: Mapping[str, FloatArray]


@dataclass(frozen=True)
class _Engine:
    first: Predictions
    design: Design
    resamples: int
    seed: int

    @property
    def class_metric(self) -> str:
        return "per_class.recall" if self.first.task == "single" else "per_class.average_precision"

    @property
    def image_degrees(self) -> float:
        return max(self.design.num_units - 1.0, 1.0) if self.first.groups is not None else np.inf

    def judge(self, run: Run) -> _Judged:
        names = [*metric_names(self.first), self.class_metric]
        values: dict[str, list[Any]] = {name: [] for name in names}
        draws: dict[str, list[FloatArray]] = {name: [] for name in names}
        limits: dict[str, Any] = {}
        for table in run.tables:
            metrics = compute_metrics(table, resamples=0)
            found = draw_replicates(table, resamples=self.resamples, seed=self.seed)
            flat = flatten(metrics)
            for name in names:
                values[name].append(flat[name])
                draws[name].append(found[name])
            limits = metric_intervals(table, metrics, found).intervals if len(run.tables) == 1 else {}
        stacked = {name: np.array(values[name]) for name in names}
        drawn = {name: np.array(draws[name]) for name in names}
        own = {name: self._limits(name, stacked[name], drawn[name], limits) for name in metric_names(self.first)}
        return _Judged(
            RunMetrics(
                run=run,
                values={name: float(stacked[name].mean()) for name in own},
                limits=own,
                by_training=[{name: float(stacked[name][i]) for name in own} for i in range(len(run.tables))],
            ),
            stacked,
            drawn,
        )

    def _limits(
        self, name: str, values: FloatArray, draws: FloatArray, single: Mapping[str, Any]
    ) -> tuple[float, float] | None:
        """Return the interval of a run: that of the evaluation for one training, Student's t for several."""
        if len(values) == 1:
            metric, _, kind = name.partition(".")
            pair = single[metric][kind] if kind else single[metric]
            return None if pair is None else (pair[0], pair[1])
        variance = float(variance_of(draws.mean(axis=0)))
        if not np.isfinite(variance) or self.design.num_units < 2:
            return None
        parts = [(variance, self.image_degrees), (float(values.var(ddof=1)) / len(values), len(values) - 1.0)]
        low, high = student_interval(float(values.mean()), *combine_errors(parts))
        least, most = ends_of(name)
        return max(low, least), min(high, most)

    def pair(self, a: _Judged, b: _Judged) -> Pair:
        differences = [self._difference(name, a, b) for name in metric_names(self.first)]
        flips = find_flips(self.first, a.metrics.run, b.metrics.run)
        test, main = "bootstrap", differences[0]
        is_simple = len(a.metrics.run.tables) == len(b.metrics.run.tables) == 1 and self.first.groups is None
        if is_simple and self.first.task == "single":
            found = mcnemar(flips.num_lost, flips.num_gained)
            test, p = found.method, found.p
            if flips.num_lost + flips.num_gained < FEW_PAIRS:
                low, high = paired_shares(flips.num_lost, flips.num_gained, len(self.first))
                main = replace(main, low=low, high=high)
            differences[0] = replace(main, p=p)
        else:
            p = 1.0 if main.p is None else main.p
        classes = [
            self._difference(self.class_metric, a, b, index=index) for index in range(len(self.first.class_names))
        ]
        return Pair(a.metrics, b.metrics, differences, classes, flips, test=test, p=p, p_holm=p)

    def _difference(self, name: str, a: _Judged, b: _Judged, *, index: int | None = None) -> Difference:
        where: Any = slice(None) if index is None else (slice(None), index)
        ours, theirs = a.values[name][where], b.values[name][where]
        value = float(theirs.mean() - ours.mean())
        draws = b.replicates[name][where].mean(axis=0) - a.replicates[name][where].mean(axis=0)
        of_images = float(variance_of(draws))
        of_images = 0.0 if of_images < ROUNDING else of_images
        of_seeds = _seed_parts(ours, theirs)
        variance, degrees = combine_errors([(of_images, self.image_degrees), *of_seeds])
        low = high = p = None
        if self.design.num_units > 1 and np.isfinite(variance) and variance > 0 and np.isfinite(value):
            low, high = student_interval(value, variance, degrees)
            p = two_sided(value, variance, degrees)
        return Difference(
            metric=name,
            a=float(ours.mean()),
            b=float(theirs.mean()),
            low=low,
            high=high,
            p=p,
            variance=variance,
            seed_variance=sum(part for part, _ in of_seeds),
        )


def _seed_parts(ours: FloatArray, theirs: FloatArray) -> list[tuple[float, float]]:
    """Return the variances due to trainings; a run of one training is assumed to vary as the other does.

    Empty where both are of one training: then the two trained models are compared.
    """
    several = [values for values in (ours, theirs) if len(values) > 1]
    if not several:
        return []
    parts = []
    for values in (ours, theirs):
        known = values if len(values) > 1 else several[0]
        parts.append((float(known.var(ddof=1)) / len(values), len(known) - 1.0))
    return parts


def _notes(runs: Sequence[Run], design: Design, first: Predictions) -> list[str]:
    notes = []
    lonely = [run.name for run in runs if len(run.tables) == 1]
    if len(lonely) == len(runs):
        notes.append(
            "One training per run: the trained models are compared. To compare recipes across seeds, give several "
            "trainings of each: NAME=RUN,RUN,RUN."
        )
    elif lonely:
        notes.append(
            f"One training only: {', '.join(lonely)}. Compared with a run of several it is assumed to vary as that one "
            "does; two runs of one training each are compared as trained models."
        )
    if first.groups is not None and design.num_units < 2:
        notes.append("All images are from one group: the variance between groups is unknown, so nothing can be tested.")
    elif first.groups is not None and design.num_units < FEWEST_GROUPS:
        notes.append(
            f"Only {design.num_units} groups: the intervals are unreliable; {FEWEST_GROUPS} or more are needed."
        )
    absent = [name for index, name in enumerate(first.class_names) if not _has(first, index)]
    if absent:
        notes.append(f"{len(absent)} of {len(first.class_names)} classes have no image; their metrics are undefined.")
    return notes


def _has(first: Predictions, index: int) -> bool:
    return bool((first.labels[:, index] == 1).any() if first.labels.ndim == 2 else (first.labels == index).any())
