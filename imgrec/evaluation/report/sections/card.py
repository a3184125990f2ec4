"""Model card (Mitchell et al. 2019, arXiv:1810.03993): intended use, data, known limits, what was not tested."""

from collections.abc import Iterator
from typing import Any

from imgrec.core.text import listed, printable
from imgrec.evaluation.report.blocks import Facts, Section
from imgrec.evaluation.report.evaluation_folder import EvaluationFolder
from imgrec.evaluation.report.sections.numbers import count, percent

__all__ = ["card_section"]

NUM_NAMED = 5
FEW_IMAGES = 30  # of a class, below which its metrics are too uncertain
# file -> what was not tested where it is missing
TESTS = {
    "calibration.json": "calibration",
    "decisions.json": "decision rules with a guarantee",
    "slices.json": "slices of the data",
    "robustness.json": "robustness to noise, blur, weather and compression",
    "attack.json": "adversarial robustness",
    "ood.json": "out-of-distribution images",
    "explain.json": "saliency maps",
    "baselines.json": "baselines on the same data",
}
LEAD = "Generated from the measurements. Intended use and ethical considerations must be added by a person."


def card_section(folder: EvaluationFolder) -> Section:
    """Return the model card."""
    untested = ", ".join(text for name, text in TESTS.items() if folder.file(name).data is None)
    rows = [
        ("Use", _use(folder)),
        ("Out of scope", "Images that differ from the test set: other cameras, places, times or people. Decisions "
                         "about people or safety that no person can overrule."),
        ("Data", _data(folder)),
        ("Known limits", " ".join(_limits(folder)) or "None found by the tests that were run."),
        ("Not tested", f"{untested[:1].upper()}{untested[1:]}." if untested else
                       "Nothing: all tests of this report were run. Fairness between groups of people is tested only "
                       "where a column of the data contains the groups."),
    ]  # fmt: skip
    return Section("model-card", "Model card", LEAD, [Facts(rows)])


def _use(folder: EvaluationFolder) -> str:
    names = folder.class_names
    shown = listed(names, limit=12)
    if folder.is_multilabel:
        return f"Predicts any number of {len(names)} labels for an image: {shown}."
    return f"Predicts one of {len(names)} classes for any image: {shown}."


def _data(folder: EvaluationFolder) -> str:
    totals = (folder.provenance.get("data") or {}).get("num_images") or {}
    text = f"Evaluated on {count(int(folder.metrics['num_samples']), 'image')}"
    # After evaluate.py the train split belongs to the evaluated data, on which the model was perhaps not trained.
    if folder.is_of_training and totals.get("train"):
        text = f"Trained on {count(int(totals['train']), 'image')}. {text}"
    caution = {
        "val": " of the validation split, which selected the best epoch: the metrics are optimistic",
        "train": " of the training split: the metrics do not apply to new images",
    }.get(str(folder.provenance.get("split")), "")
    return f"{text}{caution}."


def _limits(folder: EvaluationFolder) -> Iterator[str]:
    rows = [row for row in folder.metrics["per_class"] if row["recall"] is not None]
    weak = [row for row in sorted(rows, key=lambda row: row["recall"])[:NUM_NAMED] if row["recall"] < 0.9]
    if weak:
        shown = ", ".join(f"{printable(row['class'])} ({percent(row['recall'], digits=0)})" for row in weak)
        yield f"Lowest recall: {shown}."
    few = [row for row in folder.metrics["per_class"] if row["support"] < FEW_IMAGES]
    if few:
        shown = listed([f"{row['class']} ({row['support']})" for row in few], limit=NUM_NAMED)
        yield f"Metrics are uncertain for classes with fewer than {FEW_IMAGES} images: {shown}."
    for name, limit in (("slices.json", _slices), ("robustness.json", _robustness), ("attack.json", _attack)):
        data = folder.file(name).data
        try:
            yield from limit(data) if data is not None else ()
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            continue  # the section of the file reports the problem


def _slices(data: dict[str, Any]) -> Iterator[str]:
    titles = {column["name"]: column["title"] for column in data["columns"]}
    worse = [row for row in data["slices"] if row["verdict"] == "worse"]
    for row in worse[:2]:
        where = f"{printable(str(titles[row['column']]))} {printable(str(row['label']))}"
        yield f"Worse on the slice {where}: {percent(row['score'])}, elsewhere {percent(row['rest_score'])}."


def _robustness(data: dict[str, Any]) -> Iterator[str]:
    worst = min(data["corruptions"], key=lambda row: row["score"])
    name = str(worst["corruption"]).replace("_", " ")
    lost = percent(data["mean_relative_drop"], digits=0)
    yield f"Corruptions reduce the metric by {lost} on average; the worst is {name}."


def _attack(data: dict[str, Any]) -> Iterator[str]:
    cells = [cell for norm in data["norms"] if norm["norm"] == "linf" for cell in norm["cells"]]
    strong = [cell for cell in cells if cell["attack"] in ("pgd", "rays")]
    broken = [cell for cell in strong if cell["score"] < data["clean"]["score"] / 2]
    if broken:
        least = min(broken, key=lambda cell: (cell["eps"], cell["score"]))
        yield f"An adversarial perturbation of {least['eps_255']:g}/255 reduces it to {percent(least['score'])}."
