"""Head of the report, and the section Metrics: the main metric with its interval, then all metrics."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from imgrec.evaluation.report.blocks import Cell, Column, Section, Table, notes
from imgrec.evaluation.report.evaluation_folder import EvaluationFolder
from imgrec.evaluation.report.sections.numbers import as_number, count, decimal, interval, interval_of, percent

__all__ = ["Headline", "digits_for", "headline", "metrics_section"]

# key of metrics.json, average -> title, meaning
METRICS: dict[tuple[str, str], tuple[str, str]] = {
    ("accuracy", ""): ("Accuracy", "Share of images with a correct prediction."),
    ("top5", ""): ("Top-5 accuracy", "Share of images whose label is among the five most probable classes."),
    ("subset_accuracy", ""): ("Subset accuracy", "Share of images with all labels correct."),
    ("hamming_loss", ""): ("Hamming loss", "Share of incorrect decisions over all images and labels."),
    ("precision", "macro"): (
        "Precision (macro)",
        "Share of a class's predictions that are correct; mean over classes.",
    ),
    ("recall", "macro"): ("Recall (macro)", "Share of a class's images that are predicted as it; mean over classes."),
    ("f1", "macro"): ("F1 (macro)", "Harmonic mean of precision and recall; mean over classes."),
    ("f1", "micro"): ("F1 (micro)", "F1 over all decisions together."),
    ("f1", "weighted"): ("F1 (weighted)", "F1, classes weighted by their number of images."),
    ("balanced_accuracy", ""): ("Balanced accuracy", "Mean recall over classes."),
    ("auroc", "macro"): ("AUROC (macro)", "Area under the one-vs-rest ROC curve; mean over classes."),
    ("average_precision", "macro"): ("AP (macro)", "Average precision: area under the PR curve; mean over classes."),
    ("cohen_kappa", ""): ("Cohen's kappa", "Agreement of labels and predictions beyond chance; 1 is best."),
    ("matthews", ""): ("Matthews correlation", "Correlation of labels and predictions; 1 is best, 0 is chance."),
    ("log_loss", ""): ("Log loss", "Cross-entropy of the probabilities, in nats; 0 is best."),
    ("brier", ""): ("Brier score", "Mean squared error of the probabilities; 0 is best."),
}
IN_PERCENT = {"accuracy", "top5", "subset_accuracy", "hamming_loss", "balanced_accuracy"}
TILES = (("f1", "macro"), ("auroc", "macro"), ("average_precision", "macro"), ("log_loss", ""))


@dataclass(frozen=True)
class Headline:
    """The head of a page.

    Attributes:
        title: Name of the main metric.
        value: The main metric; "" where there is none.
        bounds: Its 95 % interval; "" where unknown.
        sentences: Explanation.
        subject: Heading: what was evaluated.
        tiles: (title, value) of a few more metrics.
    """

    title: str
    value: str
    sentences: list[str]
    subject: str
    bounds: str = ""
    tiles: list[tuple[str, str]] = field(default_factory=list)


def headline(folder: EvaluationFolder) -> Headline:
    """Return the head of the report."""
    metrics = folder.metrics
    key = "subset_accuracy" if folder.is_multilabel else "accuracy"
    digits = digits_for(metrics["num_samples"])
    value, (low, high) = as_number(metrics[key]), _interval(metrics, key)
    title = METRICS[key, ""][0]
    return Headline(
        title=title,
        value=percent(value, digits=digits),
        bounds=interval(low, high, digits=digits),
        sentences=_sentences(metrics, title.lower(), low, high),
        subject=_subject(folder),
        tiles=_tiles(metrics),
    )


def digits_for(num_samples: int) -> int:
    """Return how many decimals a percentage of so many images has."""
    return 2 if num_samples >= 5000 else 1


def _interval(metrics: Mapping[str, Any], name: str, average: str = "") -> tuple[float | None, float | None]:
    entry = (metrics.get("intervals") or {}).get(name)
    return interval_of(entry.get(average) if average and isinstance(entry, dict) else entry)


def _sentences(metrics: Mapping[str, Any], title: str, low: float | None, high: float | None) -> list[str]:
    num_samples, num_errors = int(metrics["num_samples"]), int(metrics["num_errors"])
    what = "all labels correct" if metrics["task"] == "multilabel" else "a correct prediction"
    sentences = [
        f"{count(num_samples - num_errors)} of {count(num_samples, 'image')} have {what}, {count(num_errors)} do not."
    ]
    if low is not None and high is not None:
        ends = " and ".join(percent(end, digits=digits_for(num_samples)) for end in (low, high))
        sentences.append(
            f"On images like these, {title} is between {ends} (95 % interval). The interval does not cover images from "
            "another camera, place or time."
        )
    majority = _majority(metrics)
    if majority is not None:
        sentences.append(f"The majority-class baseline has an accuracy of {percent(majority)}.")
    return sentences


def _majority(metrics: Mapping[str, Any]) -> float | None:
    if metrics["task"] != "single":
        return None
    support = [int(row["support"]) for row in metrics["per_class"]]
    return max(support) / sum(support) if sum(support) else None


def _subject(folder: EvaluationFolder) -> str:
    """Return the heading: model, split and number of images, number of classes."""
    provenance = folder.provenance
    model = str((provenance.get("model") or {}).get("name") or "")
    split = str(provenance.get("split") or "")
    split = {"val": "validation", "train": "training"}.get(split, split)
    num_samples, num_classes = int(folder.metrics["num_samples"]), len(folder.class_names)
    classes = count(num_classes, "label") if folder.is_multilabel else count(num_classes, "class", plural="classes")
    return " · ".join(part for part in (model, count(num_samples, f"{split} image".strip()), classes) if part)


def _tiles(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    keys = [("top5", ""), *TILES] if _has_top5(metrics) else TILES
    return [(METRICS[key][0], text) for key in keys if (text := _value(metrics, *key)[0]) is not None]


def _has_top5(metrics: Mapping[str, Any]) -> bool:
    return metrics["task"] == "single" and len(metrics["class_names"]) > 5  # of five classes or fewer it is always 1


def _value(metrics: Mapping[str, Any], name: str, average: str) -> tuple[str | None, float | None]:
    """Return a metric as text and as a number; (None, None) where metrics.json does not have it."""
    found = metrics.get(name, {})
    if average:
        found = found.get(average, {}) if isinstance(found, dict) else {}
    if isinstance(found, dict):
        return None, None
    value = as_number(found)
    text = percent(value, digits=digits_for(metrics["num_samples"])) if name in IN_PERCENT else decimal(value)
    return text, value


def metrics_section(folder: EvaluationFolder) -> Section:
    """Return the table of all metrics with their intervals."""
    metrics, rows = folder.metrics, []
    digits = digits_for(metrics["num_samples"])
    for (name, average), (title, meaning) in METRICS.items():
        text, value = _value(metrics, name, average)
        if text is None or (name == "top5" and not _has_top5(metrics)):
            continue
        low, high = _interval(metrics, name, average)
        bounds = interval(low, high, digits=digits)
        if bounds and name not in IN_PERCENT:
            bounds = f"{low:.3f} to {high:.3f}"
        rows.append([Cell(title), Cell(text, value), Cell(bounds, low), Cell(meaning)])
    columns = [
        Column("metric"), Column("value", "number"), Column("95 % interval", "number"), Column("meaning", "detail"),
    ]  # fmt: skip
    return Section("metrics", "Metrics", "", [Table("Metrics", columns, rows), *notes(metrics)])
