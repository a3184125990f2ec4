"""All metrics of a predictions table, equal to scikit-learn's, each with its 95 % interval.

Undefined metrics are NaN and excluded from means (scikit-learn's `zero_division=np.nan`), with a note that names the
classes. On ties the first class is predicted, as by `argmax`.
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
    """Return all metrics of a table: the contents of metrics.json, with NaN for its null.

    Args:
        predictions: N images.
        resamples: Number of bootstrap resamples; 0 for no intervals.
        seed: Of the resamples.

    Returns:
        For both tasks: task, num_samples, num_errors, precision, recall and f1 (each macro, weighted, micro), auroc,
        average_precision, log_loss, brier, per_class (one row per class), class_names, notes; `intervals`, of the same
        structure with [low, high] or None in place of each number, and `interval_method`. For the others see
        `single_label_metrics` and `multilabel_metrics`.
    """
    compute = single_label_metrics if predictions.task == "single" else multilabel_metrics
    labels = predictions.labels.astype(np.int64)
    metrics = compute(labels, predictions.probabilities, class_names=predictions.class_names)
    if resamples:
        replicates = draw_replicates(predictions, resamples=resamples, seed=seed)
        found = metric_intervals(predictions, metrics, replicates)
        method = {**found.method, "resamples": resamples, "seed": seed}
        metrics |= {"notes": metrics["notes"] + found.notes, "intervals": found.intervals, "interval_method": method}
    return {"format": FORMAT, "task": predictions.task, "num_samples": len(predictions), **metrics}


def single_label_metrics(
    labels: NDArray[np.int64], probabilities: FloatArray, *, class_names: Sequence[str]
) -> dict[str, Any]:
    """Return the metrics for one label per image: labels int64 (N,), probabilities (N, C).

    Besides the common metrics: accuracy, top5 (the true class is among the min(5, C) most probable),
    balanced_accuracy, cohen_kappa, matthews and confusion_matrix (rows: true class, columns: predicted class). log_loss
    in nats; brier is the sum over classes, 0 to 2 (Brier 1950). auroc.macro is the mean over classes, one against the
    rest; with two classes that of the second class.
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
    """Return the metrics for several labels per image: labels 0/1 (N, C), probabilities (N, C); p > 0.5 is predicted.

    Besides the common metrics: subset_accuracy (all C labels correct; num_errors counts the other images),
    hamming_loss (share of the N x C labels that are incorrect), and the mean over images (`samples`) of precision,
    recall and f1. average_precision.macro is known as mAP; micro pools the N x C labels, as do log_loss (binary cross
    entropy in nats) and brier (squared error, 0 to 1).
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
    """Return one row per class: class, support, and its metrics.

    screened: number of images, to add sensitivity, specificity, PPV and NPV (two classes, or several labels); else 0.
    """
    areas = {"auroc": _aurocs(rankings), "average_precision": _average_precisions(rankings)}
    columns = {"support": counts.actual, **counts.rates(), **areas}
    if screened:
        columns |= counts.screening(screened)
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    return [
        {"class": name, **dict(zip(columns, row, strict=True))} for name, row in zip(class_names, rows, strict=True)
    ]
