"""Every score of a table of predictions, as plain numbers, equal to scikit-learn's, with its 95 % interval.

What cannot be defined is NaN and left out of the means (scikit-learn's `zero_division=np.nan`); a note says which
classes that concerns. Of equally probable classes the first is the predicted one, as `argmax` has it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.evaluation.metrics.intervals import RESAMPLES, SEED, draw_replicates, metric_intervals
from imgrec.evaluation.metrics.rates import FloatArray, Ranking, mean_defined, rank, rank_classes
from imgrec.evaluation.metrics.row_metrics import multilabel_rows, single_rows
from imgrec.evaluation.metrics.undefined import class_notes, sample_notes
from imgrec.evaluation.predictions.predictions import Predictions
from imgrec.evaluation.statistics.agreement import Counts

__all__ = ["FORMAT", "compute_metrics", "multilabel_metrics", "single_label_metrics"]

FORMAT = 1


def compute_metrics(predictions: Predictions, *, resamples: int = RESAMPLES, seed: int = SEED) -> dict[str, Any]:
    """Return all scores of a table: what metrics.json holds, with NaN where JSON will have null.

    Always there: task, num_samples, num_errors, precision, recall and f1 (each macro, weighted, micro), auroc,
    average_precision, log_loss, brier, per_class (one row per class), class_names, notes; then `intervals`, of the same
    structure with [low, high] or None in place of each score, and `interval_method`, how they were made. See
    `single_label_metrics` and `multilabel_metrics`. `resamples=0` leaves out the intervals.
    """
    score = single_label_metrics if predictions.task == "single" else multilabel_metrics
    scores = score(predictions.labels.astype(np.int64), predictions.probabilities, class_names=predictions.class_names)
    if resamples:
        replicates = draw_replicates(predictions, resamples=resamples, seed=seed)
        found = metric_intervals(predictions, scores, replicates)
        method = {**found.method, "resamples": resamples, "seed": seed}
        scores |= {"notes": scores["notes"] + found.notes, "intervals": found.intervals, "interval_method": method}
    return {"format": FORMAT, "task": predictions.task, "num_samples": len(predictions), **scores}


def single_label_metrics(
    labels: NDArray[np.int64], probabilities: FloatArray, *, class_names: Sequence[str]
) -> dict[str, Any]:
    """Score one label per image: labels (N,) class indices, probabilities (N, C).

    Adds to the common scores: accuracy, top5 (the true class among the min(5, C) most probable), balanced_accuracy,
    cohen_kappa, matthews and confusion_matrix (rows: true class, columns: predicted). log_loss in nats; brier as the
    sum over classes, 0 to 2 (Brier 1950). auroc.macro is the mean over classes of one against the rest; for two classes
    it is that of the second class, the usual one.
    """
    num_classes = len(class_names)
    predicted = probabilities.argmax(axis=1)
    confusion = np.bincount(labels * num_classes + predicted, minlength=num_classes**2).reshape(num_classes, -1)
    counts = Counts(hits=confusion.diagonal(), predicted=confusion.sum(axis=0), actual=confusion.sum(axis=1))
    rankings = rank_classes(probabilities, labels[:, None] == np.arange(num_classes))
    auroc = _aurocs(rankings)
    num_errors = int((predicted != labels).sum())
    rows = {name: float(values.mean()) for name, values in single_rows(labels, probabilities).items()}
    return {
        "num_errors": num_errors,
        "accuracy": (len(labels) - num_errors) / len(labels),
        "top5": rows["top5"],
        "balanced_accuracy": mean_defined(counts.rates()["recall"]),
        **_plain(counts.average_rates()),
        "auroc": {"macro": float(auroc[1]) if num_classes == 2 else mean_defined(auroc)},
        "average_precision": {"macro": mean_defined(_average_precisions(rankings))},
        "cohen_kappa": float(counts.cohen_kappa()),
        "matthews": float(counts.matthews()),
        "log_loss": rows["log_loss"],
        "brier": rows["brier"],
        "confusion_matrix": confusion.tolist(),
        "per_class": _per_class(class_names, counts, rankings, screened=len(labels) if num_classes == 2 else 0),
        "class_names": list(class_names),
        "notes": class_notes(class_names, counts, num_samples=len(labels), is_single=True),
    }


def multilabel_metrics(
    labels: NDArray[np.int64], probabilities: FloatArray, *, class_names: Sequence[str]
) -> dict[str, Any]:
    """Score several labels per image: labels (N, C) of 0 and 1, probabilities (N, C); p > 0.5 is predicted.

    Adds to the common scores: subset_accuracy (all C labels right; num_errors counts the other images),
    hamming_loss (share of the N x C labels that are wrong), and the mean over images (`samples`) of precision,
    recall and f1. average_precision.macro is known as mAP; micro treats the N x C labels as one list, as do log_loss
    (of a label's own yes or no, in nats) and brier (its squared error, 0 to 1).
    """
    is_predicted, is_actual = probabilities > 0.5, labels == 1
    counts, samples = (_count(is_predicted, is_actual, axis=axis) for axis in (0, 1))
    rankings = rank_classes(probabilities, is_actual)
    pooled = rank(probabilities.ravel(), is_actual.ravel())
    num_errors = int((is_predicted != is_actual).any(axis=1).sum())
    of_samples = samples.rates()
    rows = {name: mean_defined(values) for name, values in multilabel_rows(labels, probabilities).items()}
    rates = {
        name: {**means, "samples": mean_defined(of_samples[name])}
        for name, means in _plain(counts.average_rates()).items()
    }
    return {
        "num_errors": num_errors,
        "subset_accuracy": (len(labels) - num_errors) / len(labels),
        "hamming_loss": float((is_predicted != is_actual).mean()),
        **rates,
        "auroc": {"macro": mean_defined(_aurocs(rankings)), "micro": pooled.auroc},
        "average_precision": {"macro": mean_defined(_average_precisions(rankings)), "micro": pooled.average_precision},
        "log_loss": rows["log_loss"],
        "brier": rows["brier"],
        "per_class": _per_class(class_names, counts, rankings, screened=len(labels)),
        "class_names": list(class_names),
        "notes": class_notes(class_names, counts, num_samples=len(labels), is_single=False) + sample_notes(samples),
    }


def _count(is_predicted: NDArray[np.bool_], is_actual: NDArray[np.bool_], *, axis: int) -> Counts:
    hits, predicted, actual = (kind.sum(axis=axis) for kind in (is_predicted & is_actual, is_predicted, is_actual))
    return Counts(hits=hits, predicted=predicted, actual=actual)


def _plain(averages: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    return {name: {kind: float(value) for kind, value in kinds.items()} for name, kinds in averages.items()}


def _aurocs(rankings: Sequence[Ranking]) -> FloatArray:
    return np.array([ranking.auroc for ranking in rankings])


def _average_precisions(rankings: Sequence[Ranking]) -> FloatArray:
    return np.array([ranking.average_precision for ranking in rankings])


def _per_class(
    class_names: Sequence[str], counts: Counts, rankings: Sequence[Ranking], *, screened: int
) -> list[dict[str, Any]]:
    """Return one row per class: class, support (images that have it), and its own scores.

    screened: the number of images where each class is a yes-or-no question (two classes, or several labels per
    image); sensitivity, specificity, PPV and NPV are added then. 0 otherwise.
    """
    areas = {"auroc": _aurocs(rankings), "average_precision": _average_precisions(rankings)}
    columns = {"support": counts.actual, **counts.rates(), **areas}
    if screened:
        columns |= counts.screening(screened)
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    return [
        {"class": name, **dict(zip(columns, row, strict=True))} for name, row in zip(class_names, rows, strict=True)
    ]
