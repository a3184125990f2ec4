"""What the script of the page receives: counts and curves in few numbers, from which it computes what a reader asks.

Counts are exact: at every threshold of the grid the script comes to what scikit-learn says of the whole table.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.evaluation.metrics.rates import Ranking, rank_classes
from imgrec.evaluation.predictions.predictions import Predictions, visible

__all__ = ["CURVE_POINTS", "THRESHOLDS", "confusion_data", "curve_data", "label_threshold_data", "threshold_data"]

CURVE_POINTS = 80  # of a curve of one class: more than a screen shows
CELL_IMAGES = 24  # images of one cell of the matrix that are named in the page
MOST_NAMED = 6_000  # images of all cells; the rest is in the table
# Networks are sure of most images: the grid is finer where most confidences lie.
THRESHOLDS = np.unique(
    np.round(np.concatenate([np.arange(0, 90) / 100, np.arange(900, 990) / 1000, np.arange(9900, 10001) / 10000]), 4)
)


def is_positive(predictions: Predictions) -> NDArray[np.bool_]:
    """Return whether each image has each class, bool (N, C)."""
    if predictions.task == "multilabel":
        return np.asarray(predictions.labels == 1)
    return np.asarray(predictions.labels[:, None] == np.arange(len(predictions.class_names)))


def threshold_data(predictions: Predictions) -> dict[str, Any]:
    """Return how many images have a confidence in each step of the grid, and how many of these are right.

    An image is accepted at threshold t when its confidence is t or more. Per class: those predicted as it, and right.
    Columns of numbers are sparse: [class, step, predicted, right] where anything is predicted.
    """
    confidence = predictions.probabilities.max(axis=1)
    step = _steps(confidence)
    predicted, num_steps = predictions.predicted, len(THRESHOLDS)
    is_right = predicted == predictions.labels
    code = predicted * num_steps + step
    size = num_steps * len(predictions.class_names)
    counts, right = np.bincount(code, minlength=size), np.bincount(code[is_right], minlength=size)
    used = np.flatnonzero(counts)
    return {
        "thresholds": THRESHOLDS.tolist(),
        "names": [visible(name) for name in predictions.class_names],
        "support": np.bincount(predictions.labels, minlength=len(predictions.class_names)).tolist(),
        "counts": np.stack([used // num_steps, used % num_steps, counts[used], right[used]], axis=1).tolist(),
    }


def label_threshold_data(predictions: Predictions) -> dict[str, Any]:
    """Return, per class, how many images have a probability in each step, and how many of these have the class.

    For several labels per image, and of two classes the second. Rows: [class, step, images, positives].
    """
    positive, probabilities = is_positive(predictions), predictions.probabilities
    chosen = range(1, 2) if predictions.task == "single" else range(len(predictions.class_names))
    rows: list[list[int]] = []
    for place, index in enumerate(chosen):
        step = _steps(probabilities[:, index])
        counts = np.bincount(step, minlength=len(THRESHOLDS))
        own = np.bincount(step[positive[:, index]], minlength=len(THRESHOLDS))
        rows += [[place, int(at), int(counts[at]), int(own[at])] for at in np.flatnonzero(counts)]
    return {
        "thresholds": THRESHOLDS.tolist(),
        "names": [visible(predictions.class_names[index]) for index in chosen],
        "support": [int(positive[:, index].sum()) for index in chosen],
        "num_samples": len(predictions),
        "counts": rows,
    }


def _steps(confidence: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the largest grid threshold that each confidence reaches, as its place in the grid."""
    return np.asarray(np.searchsorted(THRESHOLDS, confidence, side="right") - 1, dtype=np.int64)


def curve_data(predictions: Predictions) -> list[dict[str, Any]]:
    """Return for each class its points of precision over recall and of true over false positive rate.

    Few points: those nearest to an even spacing, the first and the last among them, each one exact.
    """
    rankings = rank_classes(predictions.probabilities, is_positive(predictions))
    return [
        {"name": visible(name), "pr": _pr_points(ranking), "roc": _roc_points(ranking)}
        for name, ranking in zip(predictions.class_names, rankings, strict=True)
    ]


def _pr_points(ranking: Ranking) -> dict[str, list[float]]:
    if not len(ranking.found):
        return {"x": [], "y": []}
    recall = np.concatenate([[0.0], ranking.recall])
    precision = np.concatenate([ranking.precision[:1], ranking.precision])
    return _thin(recall, precision)


def _roc_points(ranking: Ranking) -> dict[str, list[float]]:
    if not len(ranking.found) or not ranking.num_negatives:
        return {"x": [], "y": []}
    false = np.concatenate([[0.0], (ranking.passed - ranking.found) / ranking.num_negatives, [1.0]])
    true = np.concatenate([[0.0], ranking.recall, [1.0]])
    return _thin(false, true)


def _thin(x: NDArray[np.float64], y: NDArray[np.float64]) -> dict[str, list[float]]:
    """Return about CURVE_POINTS points of a curve, evenly spaced along its length."""
    length = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    wanted = np.linspace(0, length[-1], CURVE_POINTS)
    kept = np.unique(np.concatenate([[0], np.searchsorted(length, wanted).clip(0, len(x) - 1), [len(x) - 1]]))
    return {"x": np.round(x[kept], 4).tolist(), "y": np.round(y[kept], 4).tolist()}


def confusion_data(
    predictions: Predictions, thumbnails: dict[str, str], *, short: Callable[[str], str] = visible
) -> dict[str, Any]:
    """Return the matrix, sparse ([true, predicted, images]), and images of its cells, the surest first.

    Of a right cell the least sure come first. images: {"true,predicted": [[name, confidence, thumbnail], ...]}, the
    last one a place in `thumbnails`, or -1. short: how an image's name is shown.
    """
    num_classes = len(predictions.class_names)
    labels, predicted = predictions.labels.astype(np.int64), predictions.predicted.astype(np.int64)
    code = labels * num_classes + predicted
    cells, counts = np.unique(code, return_counts=True)
    used: dict[str, int] = {}
    images = {
        f"{cell // num_classes},{cell % num_classes}": [
            [short(name), confidence, used.setdefault(name, len(used)) if name in thumbnails else -1]
            for name, confidence in entries
        ]
        for cell, entries in _cell_images(predictions, code).items()
    }
    return {
        "names": [visible(name) for name in predictions.class_names],
        "cells": np.stack([cells // num_classes, cells % num_classes, counts], axis=1).tolist(),
        "images": images,
        "thumbnails": [thumbnails[name] for name in used],
    }


def _cell_images(predictions: Predictions, code: NDArray[np.int64]) -> dict[int, list[tuple[str, float]]]:
    """Return names and confidences of the first images of each cell; errors first, within the bound of the page."""
    confidence = predictions.probabilities.max(axis=1)
    is_right = predictions.predicted == predictions.labels
    order = np.lexsort((np.where(is_right, confidence, -confidence), is_right))
    found: dict[int, list[tuple[str, float]]] = {}
    for row in order[:MOST_NAMED].tolist():
        entries = found.setdefault(int(code[row]), [])
        if len(entries) < CELL_IMAGES:
            entries.append((predictions.names[row], round(float(confidence[row]), 6)))
    return found
