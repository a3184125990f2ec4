"""The model card: what a person who did not make the network should know before it is used (Mitchell et al. 2019)."""

from collections.abc import Iterator
from typing import Any

from imgrec.core.text import listed
from imgrec.evaluation.predictions.predictions import visible
from imgrec.evaluation.report.blocks import Facts, Section
from imgrec.evaluation.report.evaluation_folder import EvaluationFolder
from imgrec.evaluation.report.sections.numbers import count, percent

__all__ = ["card_section"]

NUM_NAMED = 5
FEW = 30  # images of a class, below which its scores say little
# file -> what was not tested when it is not there
TESTS = {
    "calibration.json": "whether its confidence can be believed",
    "decisions.json": "a threshold with a guarantee",
    "slices.json": "parts of the data by their own",
    "robustness.json": "noise, blur, weather and compression",
    "attack.json": "changes made on purpose",
    "ood.json": "images that belong to no class",
    "explain.json": "what its answers depend on",
    "baselines.json": "simpler methods on the same data",
}
LEAD = "In plain words, from what was measured. What a use needs beyond this, a person must add."


def card_section(folder: EvaluationFolder) -> Section:
    """Return the card."""
    limits = list(_limits(folder))
    untested = [text for name, text in TESTS.items() if folder.part(name).data is None]
    rows = [
        ("Use", _use(folder)),
        ("Not for", "Images of another kind than the test set: other cameras, places, times or people. They were not "
                    "tested. Decisions about people or safety without a person who can overrule it."),
        ("Data", _data(folder)),
        ("Limits found", " ".join(limits) or "None by the tests that were run."),
        ("Not tested", f"{'; '.join(untested)[:1].upper()}{'; '.join(untested)[1:]}." if untested else
                       "All tests of this page were run. Fairness between groups of people is tested only where a "
                       "column of the data names them."),
    ]  # fmt: skip
    return Section("card", "Model card", LEAD, [Facts(rows)])


def _use(folder: EvaluationFolder) -> str:
    names = folder.class_names
    shown = listed(names, limit=12)
    if folder.is_multilabel:
        return f"Tells which of {len(names)} labels an image has: {shown}. It may name none."
    return f"Tells which of {len(names)} classes an image belongs to: {shown}. It always names one, whatever is on it."


def _data(folder: EvaluationFolder) -> str:
    about = folder.provenance.get("data") or {}
    totals = about.get("num_images") or {}
    scored = f"Scored on {count(int(folder.scores['num_samples']), 'image')}"
    # After evaluate the data may be another than that of the training, or the weights a stranger's.
    if folder.is_of_training and totals.get("train"):
        scored = f"Trained on {count(int(totals['train']), 'image')}. {scored}"
    split = folder.provenance.get("split")
    caution = {
        "val": " of the validation split, by which the best epoch was chosen: the true score is likely lower",
        "train": " that it was trained on: this says nothing of new images",
    }.get(str(split), "")
    return f"{scored}{caution}."


def _limits(folder: EvaluationFolder) -> Iterator[str]:
    rows = [row for row in folder.scores["per_class"] if row["recall"] is not None]
    weak = sorted(rows, key=lambda row: row["recall"])[:NUM_NAMED]
    weak = [row for row in weak if row["recall"] < 0.9]
    if weak:
        shown = ", ".join(f"{visible(str(row['class']))} ({percent(row['recall'], digits=0)})" for row in weak)
        yield f"Finds least of: {shown}."
    few = [row for row in folder.scores["per_class"] if row["support"] < FEW]
    if few:
        shown = listed([f"{row['class']} ({row['support']})" for row in few], limit=NUM_NAMED)
        yield f"Fewer than {FEW} test images, so that little can be said: {shown}."
    for name, limit in (("slices.json", _slices), ("robustness.json", _robustness), ("attack.json", _attack)):
        data = folder.part(name).data
        try:
            yield from limit(data) if data is not None else ()
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            continue  # its own section says what is wrong with the file


def _slices(data: dict[str, Any]) -> Iterator[str]:
    titles = {column["name"]: column["title"] for column in data["columns"]}
    worse = [row for row in data["slices"] if row["verdict"] == "worse"]
    for row in worse[:2]:
        where = f"{visible(str(titles[row['column']]))} {visible(str(row['label']))}"
        yield f"Worse where {where}: {percent(row['score'])} against {percent(row['rest_score'])}."


def _robustness(data: dict[str, Any]) -> Iterator[str]:
    worst = min(data["corruptions"], key=lambda row: row["score"])
    name = str(worst["corruption"]).replace("_", " ")
    yield f"Bad images cost {percent(data['mean_relative_drop'], digits=0)} of its score, {name} most."


def _attack(data: dict[str, Any]) -> Iterator[str]:
    cells = [cell for norm in data["norms"] if norm["norm"] == "linf" for cell in norm["cells"]]
    strong = [cell for cell in cells if cell["attack"] in ("pgd", "rays")]
    broken = [cell for cell in strong if cell["score"] < data["clean"]["score"] / 2]
    if broken:
        least = min(broken, key=lambda cell: (cell["eps"], cell["score"]))
        yield (
            f"Changes of {least['eps_255']:g} of 255 grey values, made on purpose and hard to see, bring it down to "
            f"{percent(least['score'])}."
        )
