"""Decision rules applied to labelled images: their guarantees beside what was measured, as plain data."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.evaluation.decisions.binomial import exact_interval
from imgrec.evaluation.decisions.conformal import ConformalRule, needed
from imgrec.evaluation.decisions.costs import CostRule
from imgrec.evaluation.decisions.decisions import Decided, Decisions
from imgrec.evaluation.decisions.operating import OperatingPoint
from imgrec.evaluation.decisions.plain import to_plain
from imgrec.evaluation.decisions.probabilities import true_classes
from imgrec.evaluation.decisions.reject import RejectRule
from imgrec.evaluation.statistics.level import LEVEL, Z

__all__ = ["measure_outcome"]

CURVE_POINTS = 200
BoolArray = NDArray[np.bool_]


def measure_outcome(decisions: Decisions, logits: NDArray[Any], labels: NDArray[Any]) -> dict[str, Any]:
    """Return for each rule its parameters, its guarantee, and under `here` the result on these N images.

    Intervals are exact binomial ones (95 %).

    Args:
        decisions: The rules.
        logits: (N, C), N above 0.
        labels: int64 (N,); with several labels per image 0/1 (N, C).
    """
    decided, names = decisions.decide(logits), decisions.class_names
    is_true = true_classes(labels, len(names))
    differs = decided.predictions != labels
    is_error = differs.any(axis=1) if differs.ndim == 2 else differs
    return {
        "temperature": decisions.temperature,
        "reject": [_reject(name, rule, ~decided.rejected[name], is_error) for name, rule in decisions.reject.items()],
        "risk_coverage": _curve(decided, is_error),
        "conformal": [
            _conformal(name, rule, decided.prediction_sets[name], is_true, task=decisions.task, class_names=names)
            for name, rule in decisions.conformal.items()
        ],
        "operating_points": [
            {
                "name": name,
                **{key: value for key, value in to_plain(rule).items() if key != "thresholds"},
                "here": list(_point(rule, decided.operating_points[name], is_true, class_names=names)),
            }
            for name, rule in decisions.operating_points.items()
        ],
        "costs": [_cost(name, rule, decided, labels) for name, rule in decisions.costs.items()],
        "refused": dict(decisions.refused),
        "notes": list(decisions.notes),
    }


def _share(name: str, count: int, total: int) -> dict[str, float | None]:
    """Return count / total with its interval; None where the total is 0."""
    if not total:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    low, high = exact_interval(count, total)
    return {name: count / total, f"{name}_low": low, f"{name}_high": high}


def _reject(name: str, rule: RejectRule, is_accepted: BoolArray, is_error: BoolArray) -> dict[str, Any]:
    accepted, errors = int(is_accepted.sum()), int((is_accepted & is_error).sum())
    risk = _share("risk", errors, accepted)
    here = {
        "num_samples": len(is_error),
        "num_accepted": accepted,
        "num_errors": errors,
        **_share("coverage", accepted, len(is_error)),
        **risk,
        # The guarantee is about the risk behind this sample; it is refuted where the sample cannot come from it.
        "is_refuted": risk["risk_low"] is not None and risk["risk_low"] > rule.risk,
    }
    return {"name": name, **to_plain(rule), "here": here}


def _curve(decided: Decided, is_error: BoolArray) -> dict[str, Any]:
    """Return coverage and risk of every other threshold, at most `CURVE_POINTS` of them, and the area below.

    aurc: mean risk over all coverages (Geifman et al. 2019, arXiv:1805.08206).
    """
    order = np.argsort(-decided.confidence, kind="stable")
    accepted = np.arange(1, len(order) + 1)
    risk = np.cumsum(is_error[order]) / accepted
    shown = np.unique(np.linspace(0, len(order) - 1, min(CURVE_POINTS, len(order))).astype(np.int64))
    return {
        "coverage": (accepted[shown] / len(order)).tolist(),
        "risk": risk[shown].tolist(),
        "lowest_confidence": decided.confidence[order][shown].tolist(),
        "aurc": float(risk.mean()),
    }


def _conformal(
    name: str, rule: ConformalRule, sets: BoolArray, is_true: BoolArray, *, task: str, class_names: tuple[str, ...]
) -> dict[str, Any]:
    total, sizes = len(sets), sets.sum(axis=1)
    covered, per_class = (sets & is_true).sum(axis=0), is_true.sum(axis=0)
    here = {
        "num_samples": total,
        **(_covered(rule, int(covered.sum()), total) if task == "single" else _covered_labels(sets, is_true)),
        "mean_size": float(sizes.mean()),
        "sizes": np.bincount(sizes, minlength=sets.shape[1] + 1).tolist(),
        "per_class": [
            {"class": own, "num_samples": int(count), **_share("coverage", int(inside), int(count))}
            for own, inside, count in zip(class_names, covered, per_class, strict=True)
        ],
    }
    return {"name": name, **to_plain(rule), "here": here}


def _covered(rule: ConformalRule, covered: int, total: int) -> dict[str, Any]:
    """Return the coverage, and its 95 % range over draws of both the fitted and the evaluated images.

    Given the images that the rule was fitted on, the coverage has a Beta distribution around the guarantee (Vovk 2012);
    the number covered of `total` further images is beta-binomial. Ties, such as many images whose true class ranks
    first, make it cover more.
    """
    from scipy.stats import betabinom

    inside = needed(rule.num_samples, rule.coverage)
    expected = betabinom(total, inside, rule.num_samples + 1 - inside)
    low, high = (float(expected.ppf(quantile) / total) for quantile in ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return {
        "covered": covered,
        **_share("coverage", covered, total),
        "expected_low": low,
        "expected_high": high,
        "is_refuted": covered / total < low,
    }


def _covered_labels(sets: BoolArray, is_true: BoolArray) -> dict[str, Any]:
    """Return the mean share of an image's labels that its set contains, over images with any; a normal interval."""
    has_labels = is_true.any(axis=1)
    shares = (sets & is_true).sum(axis=1)[has_labels] / is_true.sum(axis=1)[has_labels]
    if not len(shares):
        return {"covered": None, "coverage": None, "coverage_low": None, "coverage_high": None}
    mean, half = float(shares.mean()), Z * float(shares.std()) / float(np.sqrt(len(shares)))
    return {
        "covered": None,
        "coverage": mean,
        "coverage_low": max(0.0, mean - half),
        "coverage_high": min(1.0, mean + half),
    }


def _point(
    rule: OperatingPoint, is_predicted: BoolArray, is_true: BoolArray, *, class_names: tuple[str, ...]
) -> Iterator[dict[str, Any]]:
    """Yield a row per class that has a threshold: sensitivity, specificity, positive and negative predictive value."""
    for i, own in enumerate(class_names):
        if rule.thresholds[i] is None:
            continue
        predicted, true = is_predicted[:, i], is_true[:, i]
        hits, misses = int((predicted & true).sum()), int((~predicted & true).sum())
        alarms, rest = int((predicted & ~true).sum()), int((~predicted & ~true).sum())
        yield {
            "class": own,
            "threshold": rule.thresholds[i],
            "true_positives": hits,
            "false_negatives": misses,
            "false_positives": alarms,
            "true_negatives": rest,
            **_share("sensitivity", hits, hits + misses),
            **_share("specificity", rest, rest + alarms),
            **_share("ppv", hits, hits + alarms),
            **_share("npv", rest, rest + misses),
        }


def _cost(name: str, rule: CostRule, decided: Decided, labels: NDArray[Any]) -> dict[str, Any]:
    table, cheapest = np.array(rule.costs), decided.lowest_cost[name]
    here = {
        "num_samples": len(labels),
        "mean_cost": float(table[labels, cheapest].mean()),
        "mean_cost_of_most_probable": float(table[labels, decided.predictions].mean()),
        "changed": int((cheapest != decided.predictions).sum()),
    }
    return {"name": name, **to_plain(rule), "here": here}
