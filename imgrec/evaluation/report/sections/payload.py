"""Data of the page's charts: counts and curves that the script can aggregate.

Counts are exact: at every threshold of the grid the script computes the same values as scikit-learn on all predictions.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.core.text import printable
from imgrec.evaluation.metrics.rates import Ranking, rank_classes
from imgrec.evaluation.predictions.predictions import Predictions

__all__ = ["CURVE_POINTS", "THRESHOLDS", "confusion_data", "curve_data", "label_threshold_data", "threshold_data"]

CURVE_POINTS = 80  # of a curve of one class
CELL_IMAGES = 24  # images listed for one cell of the matrix
MOST_LISTED = 6_000  # images listed for all cells
# Finer near 1, where most confidences are.
THRESHOLDS = np.unique(
    np.round(np.concatenate([np.arange(0, 90) / 100, np.arange(900, 990) / 1000, np.arange(9900, 10001) / 10000]), 4)
)


def is_positive(predictions: Predictions) -> NDArray[np.bool_]:
    """Return whether each image has each class, bool (N, C)."""
    if predictions.task == "multilabel":
        return np.asarray(predictions.labels == 1)
    return np.asarray(predictions.labels[:, None] == np.arange(len(predictions.class_names)))


def threshold_data(predictions: Predictions) -> dict[str, Any]:
    """Return predictions per class and step of the threshold grid, and how many of them are correct.

    A prediction is accepted at threshold t if its confidence is at least t.

    Returns:
        counts: Sparse rows [class, step, num_predicted, num_correct]; support: images per label; thresholds, names.
    """
    confidence = predictions.probabilities.max(axis=1)
    step = _steps(confidence)
    predicted, num_steps = predictions.predicted, len(THRESHOLDS)
    is_correct = predicted == predictions.labels
    code = predicted * num_steps + step
    size = num_steps * len(predictions.class_names)
    counts, correct = np.bincount(code, minlength=size), np.bincount(code[is_correct], minlength=size)
    used = np.flatnonzero(counts)
    return {
        "thresholds": THRESHOLDS.tolist(),
        "names": [printable(name) for name in predictions.class_names],
        "support": np.bincount(predictions.labels, minlength=len(predictions.class_names)).tolist(),
        "counts": np.stack([used // num_steps, used % num_steps, counts[used], correct[used]], axis=1).tolist(),
    }


def label_threshold_data(predictions: Predictions) -> dict[str, Any]:
    """Return images per label and step of their probability, and how many of them have the label.

    With two classes, of the second class alone.

    Returns:
        counts: Sparse rows [label, step, num_images, num_positives]; support: positives per label; thresholds, names.
    """
    positive, probabilities = is_positive(predictions), predictions.probabilities
    chosen = range(1, 2) if predictions.task == "single" else range(len(predictions.class_names))
    rows: list[list[int]] = []
    for place, index in enumerate(chosen):
        step = _steps(probabilities[:, index])
        counts = np.bincount(step, minlength=len(THRESHOLDS))
        positives = np.bincount(step[positive[:, index]], minlength=len(THRESHOLDS))
        rows += [[place, int(at), int(counts[at]), int(positives[at])] for at in np.flatnonzero(counts)]
    return {
        "thresholds": THRESHOLDS.tolist(),
        "names": [printable(predictions.class_names[index]) for index in chosen],
        "support": [int(positive[:, index].sum()) for index in chosen],
        "num_samples": len(predictions),
        "counts": rows,
    }


def _steps(confidence: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the index of the largest threshold that each confidence reaches."""
    return np.asarray(np.searchsorted(THRESHOLDS, confidence, side="right") - 1, dtype=np.int64)


def curve_data(predictions: Predictions) -> list[dict[str, Any]]:
    """Return the PR and ROC curve of each class: about CURVE_POINTS points of the exact curve, evenly spaced."""
    rankings = rank_classes(predictions.probabilities, is_positive(predictions))
    return [
        {"name": printable(name), "pr": _pr_points(ranking), "roc": _roc_points(ranking)}
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
    predictions: Predictions, thumbnails: dict[str, str], *, short: Callable[[str], str] = printable
) -> dict[str, Any]:
    """Return the confusion matrix, and images of its cells.

    Args:
        predictions: One label per image.
        thumbnails: Data URIs by image path.
        short: Shortens a path for display.

    Returns:
        cells: Sparse rows [label, prediction, num_images]. images: by "label,prediction" a list of {path, confidence,
        thumbnail}, thumbnail an index into thumbnails or -1; incorrect predictions by falling, correct ones by rising
        confidence. names: of the classes.
    """
    num_classes = len(predictions.class_names)
    labels, predicted = predictions.labels.astype(np.int64), predictions.predicted.astype(np.int64)
    code = labels * num_classes + predicted
    cells, counts = np.unique(code, return_counts=True)
    used: dict[str, int] = {}
    images = {
        f"{cell // num_classes},{cell % num_classes}": [
            {
                "path": short(path),
                "confidence": confidence,
                "thumbnail": used.setdefault(path, len(used)) if path in thumbnails else -1,
            }
            for path, confidence in entries
        ]
        for cell, entries in _cell_images(predictions, code).items()
    }
    return {
        "names": [printable(name) for name in predictions.class_names],
        "cells": np.stack([cells // num_classes, cells % num_classes, counts], axis=1).tolist(),
        "images": images,
        "thumbnails": [thumbnails[name] for name in used],
    }


def _cell_images(predictions: Predictions, code: NDArray[np.int64]) -> dict[int, list[tuple[str, float]]]:
    """Return (path, confidence) of the first images of each cell, incorrect predictions first, at most MOST_LISTED."""
    confidence = predictions.probabilities.max(axis=1)
    is_correct = predictions.predicted == predictions.labels
    order = np.lexsort((np.where(is_correct, confidence, -confidence), is_correct))
    found: dict[int, list[tuple[str, float]]] = {}
    for row in order[:MOST_LISTED].tolist():
        entries = found.setdefault(int(code[row]), [])
        if len(entries) < CELL_IMAGES:
            entries.append((predictions.names[row], round(float(confidence[row]), 6)))
    return found
