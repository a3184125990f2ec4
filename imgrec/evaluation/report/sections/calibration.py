"""Calibration, decision rules, out-of-distribution images."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from imgrec.core.text import printable, short
from imgrec.evaluation.report.blocks import Block, Cell, Chart, Column, Facts, Paragraph, Table, notes
from imgrec.evaluation.report.sections.numbers import count, decimal, interval, percent

__all__ = ["calibration_blocks", "decisions_blocks", "ood_blocks"]

SPLITS = {"val": "the validation split", "holdout": "images held out from the evaluation", "test": "the test split"}
OOD_SCORES = {
    "max_softmax": "confidence (maximum softmax)",
    "energy": "energy",
    "knn": "k nearest neighbours (features)",
    "mahalanobis": "Mahalanobis distance (features)",
}
OPTIMISTIC = "{} fitted on the images it is evaluated on: the results below are optimistic."


def calibration_blocks(data: dict[str, Any]) -> list[Block]:
    """Return the reliability diagram and the calibration errors of `calibration.json`, before and after temperature."""
    before, after = data["before"], data["after"]
    blocks: list[Block] = [Paragraph(_calibration_summary(data))]
    if data["is_optimistic"]:
        blocks.append(Paragraph(OPTIMISTIC.format("The temperature was"), "warning"))
    return [
        *blocks,
        _reliability(data),
        _calibration_table(before, after, is_fitted=data["temperature"] != 1),
        *notes(data),
    ]


def _calibration_summary(data: Mapping[str, Any]) -> str:
    before, temperature = data["before"], float(data["temperature"])
    gap = before["mean_confidence"] - before["accuracy"]
    names = ("mean probability of a label", "share of positive labels")
    confidence, accuracy = names if data["task"] == "multilabel" else ("mean confidence", "accuracy")
    text = (
        f"Uncalibrated, the {confidence} is {percent(before['mean_confidence'])} and the {accuracy} "
        f"{percent(before['accuracy'])}: {abs(100 * gap):.1f} percentage points "
        f"{'over' if gap > 0 else 'under'}confident. "
    )
    if temperature == 1:
        return text + "No temperature was fitted; probabilities are used uncalibrated."
    where = SPLITS.get(str((data["fitted_on"] or {}).get("split")), "other data")
    return text + (
        f"Calibrated with a temperature of {short(temperature)}, fitted on {where}, the {confidence} is "
        f"{percent(data['after']['mean_confidence'])}. The temperature does not change predictions."
    )


def _reliability(data: Mapping[str, Any]) -> Chart:
    is_fitted = data["temperature"] != 1.0
    rows = [("before", "uncalibrated"), ("after", "calibrated")][: 1 + is_fitted]
    series = []
    for place, (key, name) in enumerate(rows):
        bins = data[key]["bins_mass"]
        series.append({
            "name": name,
            "x": [one["confidence"] for one in bins], "y": [one["accuracy"] for one in bins],
            "low": [one["accuracy_low"] for one in bins], "high": [one["accuracy_high"] for one in bins],
            "look": "marked", "tone": 1 - place if is_fitted else 0,
        })  # fmt: skip
    axis = {"min": 0, "max": 1, "percent": True}
    shape = {
        "x": {"label": "confidence", **axis},
        "y": {"label": "accuracy", **axis},
        "series": series,
        "diagonal": True,
    }
    return Chart("lines", "Reliability diagram: accuracy over confidence, with 95 % intervals", shape)


def _calibration_table(before: Mapping[str, Any], after: Mapping[str, Any], *, is_fitted: bool) -> Table:
    names = {
        "ece_width": "ECE, bins of equal width",
        "ece_by_chance": "ECE by chance, if perfectly calibrated",
        "ece_mass": "ECE, bins of equal count",
        "ece_classwise": "classwise ECE",
        "log_loss": "log loss (nats)",
        "brier": "Brier score",
    }
    columns = [Column("metric"), Column("uncalibrated", "number"), Column("calibrated", "number")][: 2 + is_fitted]
    rows = [
        [Cell(title), *(_error(name, part[name]) for part in ((before, after) if is_fitted else (before,)))]
        for name, title in names.items()
        if before.get(name) is not None
    ]
    return Table("Calibration errors", columns, rows)


def _error(name: str, value: float) -> Cell:
    return Cell(percent(value, digits=2) if name.startswith("ece") else decimal(value), value)


def decisions_blocks(data: dict[str, Any]) -> list[Block]:
    """Return the rules of `decisions.json`: their guarantee and their measured performance."""
    blocks: list[Block] = []
    if data["is_optimistic"]:
        blocks.append(Paragraph(OPTIMISTIC.format("The rules were"), "warning"))
    fitted = data["fitted_on"]
    if fitted:
        where = SPLITS.get(str(fitted["split"]), printable(str(fitted["split"])))
        blocks.append(Paragraph(f"The rules were fitted on {where} ({count(fitted['num_samples'], 'image')})."))
    blocks += [_reject_table(data["reject"])] if data["reject"] else []
    blocks += [_conformal_table(data["conformal"])] if data["conformal"] else []
    for rule in data["operating_points"]:
        blocks += _operating_point(rule)
    blocks += [_cost_facts(rule) for rule in data["costs"]]
    blocks += [
        Paragraph(f"{printable(str(name))}: {printable(str(why))}", "note") for name, why in data["refused"].items()
    ]
    return [*(blocks or [Paragraph("No rule was fitted.")]), *notes(data)]


def _reject_table(rules: Sequence[Mapping[str, Any]]) -> Table:
    columns = [
        Column("reject option"), Column("guaranteed error rate", "number", "upper bound, of accepted predictions"),
        Column("measured error rate", "number"), Column("coverage", "number", "share of accepted predictions"),
        Column("threshold", "number", "on the confidence"), Column("verdict"),
    ]  # fmt: skip
    rows = []
    for rule in rules:
        here = rule["here"]
        rows.append([
            Cell(printable(str(rule["name"]))),
            Cell(percent(rule["risk"]), rule["risk"], note=f"at {percent(1 - rule['delta'], digits=0)} confidence"),
            _measured(here["risk"], here["risk_low"], here["risk_high"]),
            _measured(here["coverage"], here["coverage_low"], here["coverage_high"]),
            Cell("none" if rule["threshold"] < 0 else percent(rule["threshold"]), rule["threshold"]),
            _verdict(here["is_refuted"]),
        ])  # fmt: skip
    return Table("Reject option", columns, rows)


def _conformal_table(rules: Sequence[Mapping[str, Any]]) -> Table:
    columns = [
        Column("prediction set"), Column("guaranteed coverage", "number", "of the label by the set"),
        Column("measured coverage", "number"), Column("mean set size", "number"), Column("verdict"),
    ]  # fmt: skip
    rows = []
    for rule in rules:
        here = rule["here"]
        rows.append([
            Cell(f"{printable(str(rule['name']))} ({str(rule['method']).upper()})"),
            Cell(percent(rule["coverage"]), rule["coverage"]),
            _measured(here["coverage"], here["coverage_low"], here["coverage_high"]),
            Cell(f"{here['mean_size']:.2f}", here["mean_size"]),
            _verdict(here.get("is_refuted")),
        ])  # fmt: skip
    return Table("Conformal prediction sets", columns, rows)


def _operating_point(rule: Mapping[str, Any]) -> list[Block]:
    target = f"{printable(str(rule['measure']))} of {percent(rule['target'], digits=0)}"
    columns = [
        Column("class"), Column("threshold", "number"), Column("sensitivity", "number"),
        Column("specificity", "number"), Column("PPV", "number", "positive predictive value"),
        Column("NPV", "number", "negative predictive value"),
    ]  # fmt: skip
    rows = [
        [
            Cell(printable(str(row["class"])), printable(str(row["class"])).lower()),
            Cell("none" if row["threshold"] is None else percent(row["threshold"]), row["threshold"]),
            *(_measured(row[name], row[f"{name}_low"], row[f"{name}_high"])
              for name in ("sensitivity", "specificity", "ppv", "npv")),
        ]
        for row in rule["here"]
    ]  # fmt: skip
    title = f"Operating point {printable(str(rule['name']))}: a threshold per class for a {target}."
    return [Paragraph(title), Table(title, columns, rows, search="class" if len(rows) > 12 else "", num_shown=12)]


def _cost_facts(rule: Mapping[str, Any]) -> Facts:
    here = rule["here"]
    name = printable(str(rule["name"]))
    return Facts([
        (f"cost matrix {name}: mean cost", f"{here['mean_cost']:.4g} (most probable class: "
                                          f"{here['mean_cost_of_most_probable']:.4g})"),
        (f"cost matrix {name}: changed predictions", count(here["changed"])),
    ])  # fmt: skip


def _measured(value: float | None, low: float | None, high: float | None) -> Cell:
    return Cell(percent(value), value, note=interval(low, high))


def _verdict(is_refuted: bool | None) -> Cell:
    if is_refuted is None:
        return Cell("")
    return Cell("violated", tone="bad") if is_refuted else Cell("holds", tone="good")


def ood_blocks(data: dict[str, Any]) -> list[Block]:
    """Return how well each OOD score of `ood.json` separates out-of-distribution from in-distribution images."""
    ood, own = data["ood"], data["in_distribution"]
    columns = [
        Column("OOD score"), Column("AUROC", "bar"),
        Column("FPR at 95 % TPR", "bar", "share of OOD images accepted where 95 % of in-distribution images are"),
        Column("threshold", "number"),
    ]  # fmt: skip
    rows = [
        [
            Cell(OOD_SCORES.get(str(row["name"]), printable(str(row["name"])))),
            Cell(decimal(row["auroc"]), row["auroc"], share=row["auroc"], low=row["auroc_low"], high=row["auroc_high"]),
            Cell(percent(row["fpr_at_95_tpr"]), row["fpr_at_95_tpr"], share=row["fpr_at_95_tpr"]),
            Cell(f"{row['threshold']:.4g}", row["threshold"]),
        ]
        for row in data["scores"]
    ]
    lead = (
        f"{count(ood['num_samples'], 'out-of-distribution image')} from {printable(str(ood['folder']))}, "
        f"{count(own['num_samples'], 'in-distribution image')} of the {own['split']} split."
    )
    lead += f" {count(ood['num_broken'], 'file')} could not be read." if ood["num_broken"] else ""
    best = max(data["scores"], key=lambda row: row["auroc"] or 0.0)
    return [Paragraph(lead), Table("OOD detection", columns, rows), _histogram(best), *notes(data)]


def _histogram(row: Mapping[str, Any]) -> Chart:
    edges, series = row["histogram"]["edges"], []
    middles = [(low + high) / 2 for low, high in pairwise(edges)]
    for place, (key, name) in enumerate((("in_distribution", "in-distribution"), ("ood", "out-of-distribution"))):
        numbers = row["histogram"][key]
        total = sum(numbers) or 1
        series.append({"name": name, "x": middles, "y": [number / total for number in numbers], "tone": place})
    name = OOD_SCORES.get(str(row["name"]), printable(str(row["name"])))
    y = {"label": "share", "min": 0, "percent": True}
    return Chart("lines", f"Images by {name}", {"x": {"label": name}, "y": y, "series": series})
