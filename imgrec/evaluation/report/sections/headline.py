"""The first thing a reader sees: what was scored, how well, how sure that is, and what it means in plain words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from imgrec.evaluation.report.blocks import Block, Cell, Column, Section, Table, Words
from imgrec.evaluation.report.evaluation_folder import EvaluationFolder
from imgrec.evaluation.report.sections.numbers import as_number, count, interval, interval_of, percent, score

__all__ = ["Headline", "headline", "scores_section"]

# key of metrics.json, average -> title, what it means
SCORES: dict[tuple[str, str], tuple[str, str]] = {
    ("accuracy", ""): ("Accuracy", "Images with the right answer."),
    ("top5", ""): ("Top-5 accuracy", "The true class is among the five most probable."),
    ("subset_accuracy", ""): ("All labels right", "Images on which every label is right."),
    ("hamming_loss", ""): ("Wrong decisions", "Share of single yes-or-no decisions that are wrong (Hamming loss)."),
    ("precision", "macro"): ("Precision, macro", "Of what is called a class, how much is it; the mean over classes."),
    ("recall", "macro"): ("Recall, macro", "Of what is a class, how much is found; the mean over classes."),
    ("f1", "macro"): ("F1, macro", "Harmonic mean of precision and recall; the mean over classes."),
    ("f1", "micro"): ("F1, micro", "F1 of all decisions as one list."),
    ("f1", "weighted"): ("F1, weighted", "F1 with each class counted by how often it occurs."),
    ("balanced_accuracy", ""): ("Balanced accuracy", "Accuracy with each class counted alike."),
    ("auroc", "macro"): ("AUROC", "Chance that an image of the class scores higher than another one."),
    ("average_precision", "macro"): ("Average precision", "Area under precision over recall; the mean over classes."),
    ("cohen_kappa", ""): ("Cohen's kappa", "Agreement beyond what chance would give; 1 is full agreement."),
    ("matthews", ""): ("MCC", "Correlation of answers and truth (Matthews); 1 is perfect, 0 is chance."),
    ("log_loss", ""): ("Log loss", "How far the probabilities are from the truth; 0 is perfect."),
    ("brier", ""): ("Brier score", "Mean squared distance of probabilities and truth; 0 is perfect."),
}
IN_PERCENT = {"accuracy", "top5", "subset_accuracy", "hamming_loss", "balanced_accuracy"}


@dataclass(frozen=True)
class Headline:
    """value: the main score; bounds: its interval, "" where unknown; low, high, share: the same as numbers."""

    title: str
    value: str
    bounds: str
    share: float | None
    low: float | None
    high: float | None
    sentences: list[str]
    subject: str
    tiles: list[tuple[str, str]]


def headline(folder: EvaluationFolder) -> Headline:
    """Return the head of the page."""
    scores = folder.scores
    key = "subset_accuracy" if folder.is_multilabel else "accuracy"
    value = as_number(scores[key])
    low, high = interval_for(scores, key)
    digits = digits_for(scores["num_samples"])
    return Headline(
        title=SCORES[key, ""][0],
        value=percent(value, digits=digits),
        bounds=interval(low, high, digits=digits),
        share=value, low=low, high=high,
        sentences=list(_sentences(folder, value, low, high)),
        subject=_subject(folder),
        tiles=_tiles(scores),
    )  # fmt: skip


def digits_for(num_samples: int) -> int:
    """Return the decimals of a percentage that so many images can tell."""
    return 2 if num_samples >= 5000 else 1


def interval_for(scores: Mapping[str, Any], name: str, average: str = "") -> tuple[float | None, float | None]:
    """Return (low, high) of a score in `metrics.json`; (None, None) where it has no interval."""
    entry = (scores.get("intervals") or {}).get(name)
    return interval_of(entry.get(average) if average and isinstance(entry, dict) else entry)


def _sentences(folder: EvaluationFolder, value: float | None, low: float | None, high: float | None) -> list[str]:
    scores = folder.scores
    num, wrong = int(scores["num_samples"]), int(scores["num_errors"])
    what = "all labels right" if folder.is_multilabel else "the right answer"
    said = [f"{count(num - wrong)} of {count(num, 'image')} got {what}, {count(wrong)} did not."]
    if low is not None and high is not None:
        digits = digits_for(num)
        said.append(
            f"On images of this kind the true rate lies between {100 * low:.{digits}f} and "
            f"{percent(high, digits=digits)}: an interval made so holds it for 95 of 100 test sets. It tells nothing "
            "of images of another kind, from another camera, place or time."
        )
    chance = _majority(scores)
    if chance is not None and value is not None:
        said.append(f"Always naming the most frequent class would be right on {percent(chance)}.")
    return said


def _majority(scores: Mapping[str, Any]) -> float | None:
    if scores["task"] != "single":
        return None
    support = [int(row["support"]) for row in scores["per_class"]]
    return max(support) / sum(support) if sum(support) else None


def _subject(folder: EvaluationFolder) -> str:
    """Say what was scored, on what."""
    about = folder.provenance
    model = str((about.get("model") or {}).get("name") or "")
    split = {"val": "validation", "train": "training"}.get(str(about.get("split", "")), str(about.get("split") or ""))
    scores = folder.scores
    classes = count(len(scores["class_names"]), "label" if folder.is_multilabel else "class",
                    plural="labels" if folder.is_multilabel else "classes")  # fmt: skip
    parts = [model, count(int(scores["num_samples"]), f"{split} image".strip()), classes]
    return " · ".join(part for part in parts if part)


def _tiles(scores: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return a few scores for the head of the page: (title, value)."""
    wanted = [("f1", "macro"), ("auroc", "macro"), ("average_precision", "macro"), ("log_loss", "")]
    if scores["task"] == "single" and len(scores["class_names"]) > 5:
        wanted.insert(0, ("top5", ""))
    return [(SCORES[key][0], text) for key in wanted if (text := _text(scores, *key)[0]) is not None]


def _value(scores: Mapping[str, Any], name: str, average: str) -> tuple[bool, float | None]:
    """Return whether a score is there, and its value."""
    found = scores.get(name)
    if average:
        if not isinstance(found, dict) or average not in found:
            return False, None
        found = found[average]
    elif found is None or isinstance(found, dict):
        return name in scores and found is None, None
    return True, as_number(found)


def _text(scores: Mapping[str, Any], name: str, average: str) -> tuple[str | None, float | None]:
    is_there, value = _value(scores, name, average)
    if not is_there:
        return None, None
    return (percent(value, digits=digits_for(scores["num_samples"])) if name in IN_PERCENT else score(value)), value


def scores_section(folder: EvaluationFolder) -> Section:
    """Return the table of all scores with their intervals."""
    scores, rows = folder.scores, []
    for (name, average), (title, meaning) in SCORES.items():
        text, value = _text(scores, name, average)
        if text is None or (name == "top5" and len(scores["class_names"]) <= 5):
            continue
        low, high = interval_for(scores, name, average)
        bounds = ""
        if low is not None and high is not None:
            bounds = interval(low, high, digits=digits_for(scores["num_samples"])) if name in IN_PERCENT else (
                f"{low:.3f} to {high:.3f}"
            )  # fmt: skip
        rows.append([Cell(title), Cell(text, value), Cell(bounds, low), Cell(meaning)])
    columns = [
        Column("score"),
        Column("value", "number"),
        Column("95 % interval", "number"),
        Column("what it is", "about"),
    ]
    blocks: list[Block] = [Table("Scores", columns, rows)]
    blocks += [Words(str(note), "note") for note in scores.get("notes", [])]
    lead = "All scores are computed from the whole table of predictions. What cannot be defined is called undefined."
    return Section("scores", "Scores", lead, blocks)
