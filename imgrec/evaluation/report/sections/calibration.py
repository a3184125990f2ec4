"""Whether confidence can be believed, and what it may decide: calibration, decisions, foreign images."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from imgrec.evaluation.predictions.predictions import visible
from imgrec.evaluation.report.blocks import Block, Cell, Chart, Column, Facts, Table, Words
from imgrec.evaluation.report.sections.numbers import count, interval, percent, score

__all__ = ["calibration_blocks", "decisions_blocks", "ood_blocks"]

SPLITS = {"val": "the validation split", "holdout": "a part of the data that is not scored", "test": "the test split"}
MEASURES = {
    "max_softmax": "confidence", "energy": "energy of the logits", "knn": "nearest training images (features)",
    "mahalanobis": "distance from the classes (Mahalanobis, features)",
}  # fmt: skip
POSITIVE = {"specificity": "sensitivity", "sensitivity": "specificity"}


def calibration_blocks(data: dict[str, Any]) -> list[Block]:
    """Return what `calibration.json` says: the reliability diagram before and after temperature, and the errors."""
    before, after, temperature = data["before"], data["after"], float(data["temperature"])
    is_fitted = temperature != 1.0
    gap = before["mean_confidence"] - before["accuracy"]
    if data["task"] == "multilabel":
        said = (
            f"On average a label is given {percent(before['mean_confidence'])}, and "
            f"{percent(before['accuracy'])} of all labels are true: {abs(100 * gap):.1f} points too "
            f"{'much' if gap > 0 else 'little'}. "
        )
        now = "then a label is given {}"
    else:
        said = (
            f"On average it is {percent(before['mean_confidence'])} sure and {percent(before['accuracy'])} right: "
            f"{abs(100 * gap):.1f} points {'more' if gap > 0 else 'less'} sure than right. "
        )
        now = "then it is {} sure"
    if is_fitted:
        where = SPLITS.get(str((data["fitted_on"] or {}).get("split")), "other data")
        said += f"Dividing the logits by a temperature of {temperature:.3g}, fitted on {where}, changes no answer, "
        said += f"only how sure it is: {now.format(percent(after['mean_confidence']))}."
    else:
        said += "No temperature was fitted, so the probabilities are used as they are."
    blocks: list[Block] = [Words(said)]
    if data["is_optimistic"]:
        text = "The temperature was fitted on the very images that are scored: what follows is too good."
        blocks.append(Words(text, "warning"))
    blocks += [_reliability(data), _calibration_table(before, after, is_fitted=is_fitted)]
    chance = percent(before["ece_by_chance"], digits=2)
    blocks.append(
        Words(f"A perfectly calibrated network would show an ECE of about {chance} on so many images.", "note")
    )
    return [*blocks, *_notes(data)]


def _reliability(data: Mapping[str, Any]) -> Chart:
    is_fitted = data["temperature"] != 1.0
    rows = [("before", "as it is said"), ("after", "with temperature")] if is_fitted else [("before", "as it is said")]
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
    shape = {"x": {"label": "confidence", **axis}, "y": {"label": "right", **axis}, "series": series, "diagonal": True}
    return Chart("lines", "share of right answers over confidence, with 95 % intervals", shape)


def _calibration_table(before: Mapping[str, Any], after: Mapping[str, Any], *, is_fitted: bool) -> Table:
    names = {
        "ece_width": "ECE, bins of equal width", "ece_mass": "ECE, bins of as many images",
        "ece_classwise": "ECE over all classes", "log_loss": "log loss, nats", "brier": "Brier score",
    }  # fmt: skip
    columns = [Column("error"), Column("as it is said", "number")]
    columns += [Column("with temperature", "number")] if is_fitted else []
    rows = [
        [Cell(title), *(_error(name, part[name]) for part in ((before, after) if is_fitted else (before,)))]
        for name, title in names.items()
        if before.get(name) is not None
    ]
    return Table("Calibration errors", columns, rows)


def _error(name: str, value: float) -> Cell:
    return Cell(percent(value, digits=2) if name.startswith("ece") else score(value), value)


def decisions_blocks(data: dict[str, Any]) -> list[Block]:
    """Return what `decisions.json` says: each rule, what it guarantees, and what it did here."""
    blocks: list[Block] = []
    if data["is_optimistic"]:
        text = "The rules were made on the very images that are scored: what follows is too good."
        blocks.append(Words(text, "warning"))
    fitted = data["fitted_on"]
    if fitted:
        where = SPLITS.get(str(fitted["split"]), visible(str(fitted["split"])))
        blocks.append(Words(f"Rules were made on {where} ({count(fitted['num_samples'], 'image')})."))
    blocks += [_reject_table(data["reject"])] if data["reject"] else []
    blocks += [_conformal_table(data["conformal"])] if data["conformal"] else []
    blocks += [_operating_table(rule) for rule in data["operating_points"]]
    blocks += [_cost_facts(rule) for rule in data["costs"]]
    blocks += [Words(f"{visible(str(name))}: {visible(str(why))}", "note") for name, why in data["refused"].items()]
    if not blocks:
        blocks = [Words("No rule was fitted.")]
    return [*blocks, *_notes(data)]


def _reject_table(rules: Sequence[Mapping[str, Any]]) -> Table:
    columns = [
        Column("accept the sure answers"), Column("guarantee: wrong at most", "number"), Column("wrong here", "number"),
        Column("accepted here", "number"), Column("confidence above", "number"), Column("verdict"),
    ]  # fmt: skip
    rows = []
    for rule in rules:
        here = rule["here"]
        rows.append([
            Cell(visible(str(rule["name"]))),
            Cell(percent(rule["risk"]), rule["risk"], note=f"with {percent(1 - rule['delta'], digits=0)} certainty"),
            _measured(here["risk"], here["risk_low"], here["risk_high"]),
            _measured(here["coverage"], here["coverage_low"], here["coverage_high"]),
            Cell("any" if rule["threshold"] < 0 else percent(rule["threshold"]), rule["threshold"]),
            _verdict(here["is_refuted"]),
        ])  # fmt: skip
    return Table("Reject option", columns, rows)


def _conformal_table(rules: Sequence[Mapping[str, Any]]) -> Table:
    columns = [
        Column("name a set of classes"), Column("guarantee: holds the truth", "number"), Column("held here", "number"),
        Column("classes in a set", "number"), Column("verdict"),
    ]  # fmt: skip
    rows = []
    for rule in rules:
        here = rule["here"]
        rows.append([
            Cell(f"{visible(str(rule['name']))} ({str(rule['method']).upper()})"),
            Cell(percent(rule["coverage"]), rule["coverage"]),
            _measured(here["coverage"], here["coverage_low"], here["coverage_high"]),
            Cell(f"{here['mean_size']:.2f}", here["mean_size"]),
            _verdict(here.get("is_refuted")),
        ])  # fmt: skip
    return Table("Conformal sets", columns, rows)


def _operating_table(rule: Mapping[str, Any]) -> Table:
    other = POSITIVE.get(str(rule["measure"]), "precision")
    wanted = f"{rule['measure']} of {percent(rule['target'], digits=0)}"
    columns = [
        Column(f"class, for a {wanted}"), Column("threshold", "number"), Column("sensitivity", "number"),
        Column("specificity", "number"), Column("PPV", "number", "right when it is named"),
        Column("NPV", "number", "right when it is not named"),
    ]  # fmt: skip
    rows = [
        [
            Cell(visible(str(row["class"])), visible(str(row["class"])).lower()),
            Cell("none" if row["threshold"] is None else percent(row["threshold"]), row["threshold"]),
            *(_measured(row[name], row[f"{name}_low"], row[f"{name}_high"])
              for name in ("sensitivity", "specificity", "ppv", "npv")),
        ]
        for row in rule["here"]
    ]  # fmt: skip
    name = visible(f"Operating point {rule['name']}, {wanted}, what {other} it costs")
    return Table(name, columns, rows, search="class" if len(rows) > 12 else "", num_shown=12)


def _cost_facts(rule: Mapping[str, Any]) -> Facts:
    here = rule["here"]
    name = visible(str(rule["name"]))
    return Facts([
        (f"costs {name}: mean cost", f"{here['mean_cost']:.4g}; of the most probable class "
                                     f"{here['mean_cost_of_most_probable']:.4g}"),
        (f"costs {name}: answers changed", count(here["changed"])),
    ])  # fmt: skip


def _measured(value: float | None, low: float | None, high: float | None) -> Cell:
    return Cell(percent(value), value, note=interval(low, high))


def _verdict(is_refuted: bool | None) -> Cell:
    if is_refuted is None:
        return Cell("")
    return Cell("broken", tone="bad") if is_refuted else Cell("kept", tone="good")


def ood_blocks(data: dict[str, Any]) -> list[Block]:
    """Return what `ood.json` says: how well each measure tells foreign images from the data's own."""
    foreign, own = data["foreign"], data["own"]
    columns = [
        Column("measure"), Column("AUROC", "bar", "chance that an own image scores higher than a foreign one"),
        Column("foreign let in", "bar", "foreign images that pass where 95 % of the own do (FPR at 95 % TPR)"),
        Column("threshold", "number"),
    ]  # fmt: skip
    rows = [
        [
            Cell(MEASURES.get(str(row["name"]), visible(str(row["name"])))),
            Cell(score(row["auroc"]), row["auroc"], share=row["auroc"], low=row["auroc_low"], high=row["auroc_high"]),
            Cell(percent(row["fpr_at_95_tpr"]), row["fpr_at_95_tpr"], share=row["fpr_at_95_tpr"]),
            Cell(f"{row['threshold']:.4g}", row["threshold"]),
        ]
        for row in data["scores"]
    ]
    lead = (
        f"{count(foreign['num_samples'])} foreign images from {visible(str(foreign['folder']))} against "
        f"{count(own['num_samples'])} of the {own['split']} split."
    )
    broken = f" {count(foreign['num_broken'], 'file')} there could not be read." if foreign["num_broken"] else ""
    blocks: list[Block] = [Words(lead + broken), Table("Out of distribution", columns, rows)]
    best = max(data["scores"], key=lambda row: row["auroc"] or 0.0)
    return [*blocks, _histogram(best), *_notes(data)]


def _histogram(row: Mapping[str, Any]) -> Chart:
    edges, series = row["histogram"]["edges"], []
    middles = [(low + high) / 2 for low, high in pairwise(edges)]
    for place, (key, name) in enumerate((("own", "the data's own"), ("foreign", "foreign"))):
        numbers = row["histogram"][key]
        total = sum(numbers) or 1
        series.append({"name": name, "x": middles, "y": [number / total for number in numbers], "tone": place})
    measure = MEASURES.get(str(row["name"]), visible(str(row["name"])))
    y = {"label": "share", "min": 0, "percent": True}
    return Chart("lines", f"share of images over {measure}", {"x": {"label": measure}, "y": y, "series": series})


def _notes(data: Mapping[str, Any]) -> list[Block]:
    return [Words(visible(str(note)), "note") for note in data["notes"]]
