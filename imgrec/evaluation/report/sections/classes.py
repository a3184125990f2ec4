"""Confusion matrix, per-class metrics, PR and ROC curves."""

from typing import Any

import numpy as np

from imgrec.core.text import printable
from imgrec.evaluation.report.blocks import Absent, Block, Cell, Chart, Column, Section, Table
from imgrec.evaluation.report.evaluation_folder import EvaluationFolder
from imgrec.evaluation.report.sections.headline import digits_for
from imgrec.evaluation.report.sections.numbers import as_number, count, decimal, interval_of, percent
from imgrec.evaluation.report.sections.payload import confusion_data, curve_data

__all__ = ["confusion_section", "curves_section", "per_class_section"]

EVALUATE = "python evaluate.py checkpoint=best.ckpt"


def confusion_section(folder: EvaluationFolder) -> Section:
    """Return the confusion matrix; with several labels per image, TP, FN, FP and TN of each label."""
    title = "Confusion matrix"
    if folder.predictions is None:
        return Section("confusion", title, "", [Absent(folder.problem, EVALUATE, is_damaged=True)])
    if folder.is_multilabel:
        return Section("confusion", title, "Counts of images for each label.", [_label_counts(folder)])
    lead = "Rows are labels, columns are predictions. Choose a cell or a confusion to see its images."
    data = confusion_data(folder.predictions, folder.thumbnails, short=folder.short)
    blocks: list[Block] = [Chart("matrix", "Images by label and prediction", data)]
    if not folder.thumbnails:
        text = "This folder holds the paths of the images, not the images. To add them:"
        blocks.append(Absent(text, "imgrec report FOLDER --images PHOTOS"))
    return Section("confusion", title, lead, blocks)


def _label_counts(folder: EvaluationFolder) -> Table:
    assert folder.predictions is not None
    actual, predicted = folder.predictions.labels == 1, folder.predictions.predicted == 1
    kinds = (actual & predicted, actual & ~predicted, ~actual & predicted, ~actual & ~predicted)
    counts = np.stack([kind.sum(axis=0) for kind in kinds], axis=1).tolist()
    rows = [
        [Cell(printable(name), printable(name).lower()), *(Cell(count(number), number) for number in row)]
        for name, row in zip(folder.class_names, counts, strict=True)
    ]
    titles = ("true positives", "false negatives", "false positives", "true negatives")
    columns = [Column("label"), *(Column(title, "number") for title in titles)]
    return Table("Counts per label", columns, rows, search="label" if len(rows) > 12 else "", num_shown=50)


def per_class_section(folder: EvaluationFolder) -> Section:
    """Return a row per class with its metrics as bars, worst F1 first."""
    noun = "label" if folder.is_multilabel else "class"
    bounds = (folder.metrics.get("intervals") or {}).get("per_class") or [{}] * len(folder.class_names)
    rows = [{**row, "bounds": ends} for row, ends in zip(folder.metrics["per_class"], bounds, strict=True)]
    rows.sort(key=lambda row: (row["f1"] is None, row["f1"] or 0.0))
    columns = [
        Column(noun), Column("images", "number"),
        Column("precision", "bar", f"share of the images predicted as the {noun} that have it"),
        Column("recall", "bar", f"share of the images of the {noun} that are predicted as it"),
        Column("F1", "bar", "harmonic mean of precision and recall"),
        Column("AUROC", "number", "area under the ROC curve"), Column("AP", "number", "average precision"),
    ]  # fmt: skip
    digits = digits_for(folder.metrics["num_samples"]) - 1
    cells = [
        [
            Cell(printable(str(row["class"])), printable(str(row["class"])).lower()),
            Cell(count(row["support"]), row["support"]),
            *(_bar(row, name, digits=digits) for name in ("precision", "recall", "f1")),
            *(_plain(row, name) for name in ("auroc", "average_precision")),
        ]
        for row in rows
    ]
    has_intervals = any(cell.low is not None for row in cells for cell in row)
    lead = "Sorted by F1, lowest first. " + (
        "The thin lines are 95 % intervals." if has_intervals else "Metrics of classes with few images vary by chance."
    )
    table = Table(f"Metrics per {noun}", columns, cells, search=noun if len(cells) > 12 else "", num_shown=25)
    return Section("per-class", "Per-class metrics", lead, [table])


def _bar(row: dict[str, Any], name: str, *, digits: int) -> Cell:
    value = as_number(row[name])
    low, high = interval_of(row["bounds"].get(name))
    return Cell(percent(value, digits=digits), value, share=value, low=low, high=high)


def _plain(row: dict[str, Any], name: str) -> Cell:
    value = as_number(row[name])
    return Cell(decimal(value), value)


def curves_section(folder: EvaluationFolder) -> Section:
    """Return the PR and ROC curve of each class against the rest."""
    title = "PR and ROC curves"
    if folder.predictions is None:
        return Section("curves", title, "", [Absent(folder.problem, EVALUATE, is_damaged=True)])
    curves = [curve for curve in curve_data(folder.predictions) if curve["pr"]["x"]]
    if folder.predictions.task == "single" and len(folder.class_names) == 2:
        curves = curves[-1:]  # the second class is the positive one; the curves of the first mirror it
    charts: list[Block] = [
        Chart("lines", name, {"x": x, "y": y, "series": _series(curves, key), "diagonal": key == "roc", "pick": True})
        for key, name, x, y in (
            ("pr", "Precision over recall", _axis("recall"), _axis("precision")),
            ("roc", "ROC", _axis("false positive rate"), _axis("true positive rate")),
        )
    ]
    lead = "Each class against the rest. For rare classes prefer the PR curve: ROC curves look better than they are."
    return Section("curves", title, lead, charts)


def _axis(label: str) -> dict[str, Any]:
    return {"label": label, "min": 0, "max": 1, "percent": True}


def _series(curves: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    return [{"name": curve["name"], **curve[key]} for curve in curves if curve[key]["x"]]
