"""comparison.json: the whole comparison as plain data."""

from typing import Any

from imgrec.core.files import json_file as strict_json
from imgrec.evaluation.compare.comparison import Comparison
from imgrec.evaluation.compare.pairs import Difference, Pair, RunMetrics
from imgrec.evaluation.statistics.level import LEVEL

__all__ = ["FORMAT", "to_json"]

FORMAT = 2  # 1: with `score` and `scores` for `metric` and `metrics`


def to_json(comparison: Comparison) -> bytes:
    """Return the comparison as strict JSON; undefined values are null."""
    first = comparison.first
    record = {
        "format": FORMAT,
        "task": first.task,
        "num_samples": len(first),
        "class_names": list(first.class_names),
        "interval_method": {
            "level": LEVEL,
            "resamples": comparison.resamples,
            "seed": comparison.seed,
            "kind": comparison.kind,
            "unit": comparison.unit,
            "num_units": comparison.num_units,
        },
        "runs": [_run(run) for run in comparison.runs],
        "pairs": [_pair(pair, comparison) for pair in comparison.pairs],
        "notes": comparison.notes,
    }
    return strict_json.to_json(record)


def _run(metrics: RunMetrics) -> dict[str, Any]:
    return {
        "name": metrics.run.name,
        "tables": [str(path) for path in metrics.run.paths],
        "metrics": metrics.values,
        "intervals": {name: None if pair is None else list(pair) for name, pair in metrics.limits.items()},
        "by_training": metrics.by_training,
    }


def _pair(pair: Pair, comparison: Comparison) -> dict[str, Any]:
    verdict, names = comparison.judge(pair), comparison.first.class_names
    return {
        "a": pair.a.run.name,
        "b": pair.b.run.name,
        "verdict": verdict.text,
        "better": verdict.better,
        "needed": verdict.needed,
        "test": pair.test,
        "p": pair.p,
        "p_holm": pair.p_holm,
        "gained": pair.flips.num_gained,
        "lost": pair.flips.num_lost,
        "changed": pair.flips.num_changed,
        "differences": [_difference(one) for one in pair.differences],
        "per_class": [
            {
                "class": name,
                **_difference(one),
                "gained": int(pair.flips.gained_by_class[index]),
                "lost": int(pair.flips.lost_by_class[index]),
            }
            for index, (name, one) in enumerate(zip(names, pair.classes, strict=True))
        ],
    }


def _difference(one: Difference) -> dict[str, Any]:
    return {
        "metric": one.metric.removeprefix("per_class."),
        "a": one.a,
        "b": one.b,
        "difference": one.value,
        "low": one.low,
        "high": one.high,
        "p": one.p,
    }
