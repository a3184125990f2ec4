"""Metrics of a setting over folds or seeds: mean and 95 % interval.

The training sets of folds overlap, so their metrics are not independent, and with the usual standard error an interval
at 95 % covers the expected value less often. Over folds the variance is therefore corrected: (1/J + test/train) s^2 in
place of s^2 / J for J values. Nadeau and Bengio 2003 (Machine Learning 52), eq. 9 and section 4; for repeated folds
Bouckaert and Frank 2004. It remains an approximation. Over seeds alone the variance is the usual one: the interval is
about randomness of training, not about other data.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgrec.evaluation.result import JobResult
from imgrec.evaluation.statistics.level import LEVEL

__all__ = ["FOLD", "SEED", "Interval", "Summary", "interval", "summarise"]

FOLD = "data.fold"
SEED = "seed"
_DEFAULT_VAL = 0.1


@dataclass(frozen=True)
class Interval:
    """Mean, standard deviation and interval of `count` values; None for what a single value does not have."""

    count: int
    mean: float
    std: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Summary:
    """One setting of a sweep, over its folds or seeds.

    Attributes:
        setting: The other overrides.
        over: `data.fold` or `seed`.
        num_jobs: Number of jobs.
        num_done: Number of jobs with a result.
        monitor: As in `Score`; it is among `scores`.
        mode: As in `Score`.
        scores: Intervals by name of the metric.
        ratio: Test to training samples, for the corrected variance; 0 over seeds.
    """

    setting: dict[str, str]
    over: str
    num_jobs: int
    num_done: int
    monitor: str
    mode: str
    scores: dict[str, Interval]
    ratio: float


def summarise(results: Sequence[JobResult]) -> list[Summary]:
    """Return a summary for each setting, best first; [] where neither folds nor seeds vary, or no job is done."""
    varied = [key for key in (FOLD, SEED) if len({_value(result, key) for result in results} - {None}) > 1]
    if not varied:
        return []
    over = varied[0]
    by_setting: dict[tuple[tuple[str, str], ...], list[JobResult]] = {}
    for result in results:
        setting = tuple(item for item in result.overrides.items() if item[0].lstrip("+") not in varied)
        by_setting.setdefault(setting, []).append(result)
    found = [_summary(dict(setting), jobs, over=over) for setting, jobs in by_setting.items()]
    return sorted((summary for summary in found if summary.scores), key=_rank)


def _value(result: JobResult, key: str) -> str | None:
    return result.overrides.get(key, result.overrides.get(f"+{key}"))


def _rank(summary: Summary) -> tuple[bool, float]:
    score = summary.scores.get(summary.monitor)
    sign = 1 if summary.mode == "min" else -1
    return score is None, 0.0 if score is None else sign * score.mean


def _summary(setting: dict[str, str], jobs: Sequence[JobResult], *, over: str) -> Summary:
    done = sorted((job for job in jobs if job.status == "ok"), key=lambda job: job.number)
    monitor = next((job.score.monitor for job in done if job.score.monitor), "score")
    ratio = _ratio(done) if over == FOLD and done else 0.0
    values: dict[str, dict[str, list[float]]] = {}  # score -> fold or seed -> its values
    for job in done:
        for name, value in {monitor: job.score.value, **job.score.metrics}.items():
            if value is not None and math.isfinite(value):
                values.setdefault(name, {}).setdefault(str(_value(job, over)), []).append(value)
    return Summary(
        setting=setting,
        over=over,
        num_jobs=len(jobs),
        num_done=len(done),
        monitor=monitor,
        mode=done[0].score.mode if done else "max",
        # Several seeds of a fold are not several folds: their mean counts as one value.
        scores={name: interval([_mean(some) for some in of.values()], ratio=ratio) for name, of in values.items()},
        ratio=ratio,
    )


def interval(values: Sequence[float], *, ratio: float = 0.0) -> Interval:
    """Return the mean of J values and its 95 % interval by Student's t with J - 1 degrees of freedom.

    Args:
        values: J values.
        ratio: Test to training samples where the values are of folds, 0 where they are independent.
    """
    count, mean = len(values), _mean(values)
    if count < 2:
        return Interval(count, mean)
    from scipy.special import stdtrit

    std = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
    half = float(stdtrit(count - 1, (1 + LEVEL) / 2)) * std * math.sqrt(1 / count + ratio)
    return Interval(count, mean, std, mean - half, mean + half)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _ratio(jobs: Sequence[JobResult]) -> float:
    """Return test to training samples: of the split file, else by the number of folds, else as if all were run."""
    data = _data_config(jobs[0].folder)
    from imgrec.errors import ImgrecError

    try:
        if data.get("splits"):
            from imgrec.data.splits.split_file import describe

            sizes = describe(Path(str(data["splits"])))
            return float(sum(sizes["test_sizes"]) / sum(sizes["train_sizes"]))
        test, val = 1 / int(data["folds"]), float(data.get("val_fraction", _DEFAULT_VAL))
        return test / (1 - test - val)
    except (ImgrecError, KeyError, TypeError, ValueError, ZeroDivisionError):
        num_folds = len({_value(job, FOLD) for job in jobs})
        return 1 / max(num_folds - 1, 1)


def _data_config(folder: Path) -> Mapping[str, Any]:
    """Return the group `data` of a job's configuration, as Hydra wrote it; empty where there is none."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError  # type: ignore[import-untyped]

    try:
        config = OmegaConf.to_container(OmegaConf.load(folder / ".hydra" / "config.yaml"))
    except (OSError, ValueError, YAMLError, OmegaConfBaseException):
        return {}
    data = config.get("data") if isinstance(config, dict) else None
    return data if isinstance(data, dict) else {}
