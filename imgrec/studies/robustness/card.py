"""The contents of robustness.json: metric on clean and corrupted images by corruption and severity."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.errors import ConfigError
from imgrec.evaluation.metrics.shares import shares
from imgrec.evaluation.statistics.level import LEVEL, Z
from imgrec.studies.robustness.corruption import CORRUPTIONS, SEVERITIES

__all__ = ["FORMULAS", "against_baseline", "make_card", "read_baseline"]

FORMAT = 1
FORMULAS = {
    "relative_drop": "(clean score - score) / clean score",
    "mean_relative_drop": "mean of relative_drop over all cells",
    "mean_score": "mean of score over all cells",
    "corruption_error": "sum over severities of (1 - score), divided by the same sum of the baseline",
    "relative_corruption_error": "sum over severities of (clean score - score), divided by the same of the baseline",
    "mce": "mean of corruption_error over corruptions",
    "relative_mce": "mean of relative_corruption_error over corruptions",
}


def make_card(labels: NDArray[Any], clean: NDArray[Any], predicted: NDArray[Any]) -> dict[str, Any]:
    """Return robustness.json as plain data, NaN where undefined.

    The metric is accuracy, with several labels micro F1. A cell is one corruption at one severity. Means give each cell
    the same weight; their interval is over images, which all cells share.

    Args:
        labels: Of N images: indices (N,), or 0 and 1 (N, C).
        clean: Predictions on the clean images, as `labels`.
        predicted: Predictions for every cell, in the order of `CORRUPTIONS` and within them of `SEVERITIES`: (75, N)
            or (75, N, C).
    """
    of_clean = shares(labels, clean)
    plain = of_clean.estimate()
    names = [(corruption, severity) for corruption in CORRUPTIONS for severity in SEVERITIES]
    of_cells = [shares(labels, found) for found in predicted]
    scores = np.array([one.estimate().value for one in of_cells])
    cells = [
        {
            "corruption": corruption.name,
            "family": corruption.family,
            "severity": severity,
            "num_samples": len(labels),
            "score": one.estimate().value,
            "low": one.estimate().low,
            "high": one.estimate().high,
            "relative_drop": _drop(plain.value, one.estimate().value),
        }
        for (corruption, severity), one in zip(names, of_cells, strict=True)
    ]
    low, high = _interval(np.mean([one.part for one in of_cells], axis=0)) if of_clean.is_proportion else (np.nan,) * 2
    return {
        "format": FORMAT,
        "score": of_clean.name,
        "confidence_level": LEVEL,
        "num_samples": len(labels),
        "clean": {"score": plain.value, "low": plain.low, "high": plain.high},
        "mean_score": float(scores.mean()),
        "mean_score_low": low,
        "mean_score_high": high,
        "mean_relative_drop": _drop(plain.value, float(scores.mean())),
        "mce": None,
        "relative_mce": None,
        "cells": cells,
        "corruptions": _by_corruption(scores, plain.value),
        "severities": [
            {"severity": severity, "score": float(scores[place :: len(SEVERITIES)].mean())}
            for place, severity in enumerate(SEVERITIES)
        ],
        "formulas": FORMULAS,
    }


def _by_corruption(scores: NDArray[np.float64], clean: float) -> list[dict[str, Any]]:
    means = scores.reshape(len(CORRUPTIONS), len(SEVERITIES)).mean(axis=1)
    return [
        {
            "corruption": corruption.name,
            "family": corruption.family,
            "score": float(mean),
            "relative_drop": _drop(clean, float(mean)),
            "corruption_error": None,
            "relative_corruption_error": None,
        }
        for corruption, mean in zip(CORRUPTIONS, means, strict=True)
    ]


def _drop(clean: float, score: float) -> float:
    return (clean - score) / clean if clean else float("nan")


def _interval(of_images: NDArray[np.float64]) -> tuple[float, float]:
    """Return the interval of a mean over images, by the normal approximation."""
    mean, error = float(of_images.mean()), float(of_images.std(ddof=1) / np.sqrt(len(of_images)))
    return max(mean - Z * error, 0.0), min(mean + Z * error, 1.0)


def against_baseline(card: dict[str, Any], baseline: Mapping[str, Any]) -> dict[str, Any]:
    """Return the card with corruption errors relative to a baseline (Hendrycks and Dietterich 2019, section 4.2).

    The paper's baseline is AlexNet on ImageNet; here it is any model on the same data. NaN where its error is 0.
    """
    rows = []
    for row in card["corruptions"]:
        mine, theirs = (_errors(one, row["corruption"]) for one in (card, baseline))
        ratios = [m / t if t else float("nan") for m, t in zip(mine, theirs, strict=True)]
        rows.append({**row, "corruption_error": ratios[0], "relative_corruption_error": ratios[1]})
    means = {
        key: float(np.mean([row[key] for row in rows])) for key in ("corruption_error", "relative_corruption_error")
    }
    return {
        **card,
        "mce": means["corruption_error"],
        "relative_mce": means["relative_corruption_error"],
        "corruptions": rows,
    }


def _errors(card: Mapping[str, Any], corruption: str) -> tuple[float, float]:
    scores = [cell["score"] for cell in card["cells"] if cell["corruption"] == corruption]
    return sum(1 - score for score in scores), sum(card["clean"]["score"] - score for score in scores)


def read_baseline(path: Path, *, metric: str) -> dict[str, Any]:
    """Read another model's robustness.json. Raises: ConfigError: Not such a file, other cells, or another metric."""
    where = f"robustness.baseline={path}"
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        found = [(cell["corruption"], cell["severity"]) for cell in card["cells"] if 0 <= cell["score"] <= 1]
        name = card["score"]
        float(card["clean"]["score"])
    except OSError as error:
        raise ConfigError(f"{where} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{where} is not a robustness.json of imgrec ({error!r}).") from error
    wanted = [(corruption.name, severity) for corruption in CORRUPTIONS for severity in SEVERITIES]
    if found != wanted or name != metric or card.get("format") != FORMAT:
        raise ConfigError(
            f"{where} has {len(found)} cells with the metric {name!r}, expected {len(wanted)} cells with {metric!r}. "
            "Write it again with robustness=corruptions."
        )
    return dict(card)
