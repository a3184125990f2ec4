"""Every score of a table of predictions, as plain numbers, equal to scikit-learn's.

What cannot be defined is NaN and left out of the means (scikit-learn's `zero_division=np.nan`); a note says which
classes that concerns. Of equally probable classes the first is the predicted one, as `argmax` has it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.report.predictions import Predictions
from imgrec.report.rates import (
    Counts,
    FloatArray,
    Ranking,
    average_rates,
    mean_defined,
    name_some,
    rank,
    rank_classes,
)

__all__ = ["compute_scores", "score_multilabel", "score_single"]

TOP = 5


def compute_scores(predictions: Predictions) -> dict[str, Any]:
    """Return all scores of a table: what metrics.json holds, with NaN where JSON will have null.

    Always there: task, num_samples, num_errors, precision, recall and f1 (each macro, weighted, micro), auroc,
    average_precision, per_class (one row per class), class_names, notes. See `score_single` and `score_multilabel`.
    """
    score = score_single if predictions.task == "single" else score_multilabel
    scores = score(predictions.labels.astype(np.int64), predictions.probabilities, class_names=predictions.class_names)
    return {"task": predictions.task, "num_samples": len(predictions), **scores}


def score_single(labels: NDArray[np.int64], probabilities: FloatArray, *, class_names: Sequence[str]) -> dict[str, Any]:
    """Score one label per picture: labels (N,) class indices, probabilities (N, C).

    Adds to the common scores: accuracy, top5 (the true class among the min(5, C) most probable), log_loss (nats) and
    confusion_matrix (rows: true class, columns: predicted). auroc.macro is the mean over classes of one against the
    rest; for two classes it is that of the second class, the usual one.
    """
    num_classes = len(class_names)
    predicted = probabilities.argmax(axis=1)
    confusion = np.bincount(labels * num_classes + predicted, minlength=num_classes**2).reshape(num_classes, -1)
    counts = Counts(hits=confusion.diagonal(), predicted=confusion.sum(axis=0), actual=confusion.sum(axis=1))
    rankings = rank_classes(probabilities, labels[:, None] == np.arange(num_classes))
    auroc = _aurocs(rankings)
    num_errors = int((predicted != labels).sum())
    return {
        "num_errors": num_errors,
        "accuracy": (len(labels) - num_errors) / len(labels),
        "top5": float(_is_near_top(labels, probabilities, TOP).mean()),
        **average_rates(counts),
        "auroc": {"macro": float(auroc[1]) if num_classes == 2 else mean_defined(auroc)},
        "average_precision": {"macro": mean_defined(_average_precisions(rankings))},
        "log_loss": _log_loss(labels, probabilities),
        "confusion_matrix": confusion.tolist(),
        "per_class": _per_class(class_names, counts, rankings),
        "class_names": list(class_names),
        "notes": _notes(class_names, counts, num_samples=len(labels)),
    }


def score_multilabel(
    labels: NDArray[np.int64], probabilities: FloatArray, *, class_names: Sequence[str]
) -> dict[str, Any]:
    """Score several labels per picture: labels (N, C) of 0 and 1, probabilities (N, C); p > 0.5 is predicted.

    Adds to the common scores: subset_accuracy (all C labels right; num_errors counts the other pictures),
    hamming_loss (share of the N x C labels that are wrong), and the mean over pictures (`samples`) of precision,
    recall and f1. average_precision.macro is known as mAP; micro treats the N x C labels as one list.
    """
    is_predicted, is_actual = probabilities > 0.5, labels == 1
    counts, samples = (_count(is_predicted, is_actual, axis=axis) for axis in (0, 1))
    rankings = rank_classes(probabilities, is_actual)
    pooled = rank(probabilities.ravel(), is_actual.ravel())
    num_errors = int((is_predicted != is_actual).any(axis=1).sum())
    of_samples = samples.rates()
    rates = {
        name: {**means, "samples": mean_defined(of_samples[name])} for name, means in average_rates(counts).items()
    }
    return {
        "num_errors": num_errors,
        "subset_accuracy": (len(labels) - num_errors) / len(labels),
        "hamming_loss": float((is_predicted != is_actual).mean()),
        **rates,
        "auroc": {"macro": mean_defined(_aurocs(rankings)), "micro": pooled.auroc},
        "average_precision": {"macro": mean_defined(_average_precisions(rankings)), "micro": pooled.average_precision},
        "per_class": _per_class(class_names, counts, rankings),
        "class_names": list(class_names),
        "notes": _notes(class_names, counts, num_samples=len(labels)) + _sample_notes(samples),
    }


def _count(is_predicted: NDArray[np.bool_], is_actual: NDArray[np.bool_], *, axis: int) -> Counts:
    hits, predicted, actual = (kind.sum(axis=axis) for kind in (is_predicted & is_actual, is_predicted, is_actual))
    return Counts(hits=hits, predicted=predicted, actual=actual)


def _is_near_top(labels: NDArray[np.int64], probabilities: FloatArray, top: int) -> NDArray[np.bool_]:
    """Tell for each picture whether fewer than `top` classes come before the true one, bool (N,).

    Of equal probabilities the later class comes first, as in scikit-learn's `top_k_accuracy_score`.
    """
    own = np.take_along_axis(probabilities, labels[:, None], axis=1)
    is_later = np.arange(probabilities.shape[1]) > labels[:, None]
    is_before = (probabilities > own) | ((probabilities == own) & is_later)
    return np.asarray(is_before.sum(axis=1) < top)


def _log_loss(labels: NDArray[np.int64], probabilities: FloatArray) -> float:
    """Return the mean of -log p(true class), p kept one rounding step away from 0 and 1 as scikit-learn does."""
    own = np.take_along_axis(probabilities, labels[:, None], axis=1)
    tiny = np.finfo(np.float64).eps
    return float(-np.log(np.clip(own, tiny, 1 - tiny)).mean())


def _aurocs(rankings: Sequence[Ranking]) -> FloatArray:
    return np.array([ranking.auroc for ranking in rankings])


def _average_precisions(rankings: Sequence[Ranking]) -> FloatArray:
    return np.array([ranking.average_precision for ranking in rankings])


def _per_class(class_names: Sequence[str], counts: Counts, rankings: Sequence[Ranking]) -> list[dict[str, Any]]:
    """Return one row per class: class, support (pictures that have it), and its own scores."""
    areas = {"auroc": _aurocs(rankings), "average_precision": _average_precisions(rankings)}
    columns = {"support": counts.actual, **counts.rates(), **areas}
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    return [
        {"class": name, **dict(zip(columns, row, strict=True))} for name, row in zip(class_names, rows, strict=True)
    ]


def _notes(class_names: Sequence[str], counts: Counts, *, num_samples: int) -> list[str]:
    """Say which scores of which classes are undefined, and what the means leave out."""
    is_absent, is_unpredicted = counts.actual == 0, counts.predicted == 0
    undefined = {
        "Not in this set: recall, AUROC and average precision are undefined": is_absent,
        "Never predicted: precision is undefined": is_unpredicted,
        "Neither in this set nor predicted: F1 is undefined": is_absent & is_unpredicted,
        "In every picture of this set: AUROC is undefined": counts.actual == num_samples,
    }
    return [
        f"{what}, and left out of the mean, for {name_some(class_names, chosen)}."
        for what, chosen in undefined.items()
        if chosen.any()
    ]


def _sample_notes(samples: Counts) -> list[str]:
    """Say how many pictures the means over samples leave out."""
    undefined = {
        "no label: recall is undefined": samples.actual == 0,
        "no predicted label: precision is undefined": samples.predicted == 0,
        "neither: F1 is undefined": (samples.actual == 0) & (samples.predicted == 0),
    }
    return [
        f"{chosen.sum()} of {len(chosen)} pictures have {what}, and left out of the mean over samples."
        for what, chosen in undefined.items()
        if chosen.any()
    ]
