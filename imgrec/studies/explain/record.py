"""The contents of explain.json: every saliency map with its checks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imgrec.core.files.json_file import write_json
from imgrec.studies.explain.examine import Examination
from imgrec.studies.explain.verdict import judge_all

__all__ = ["FORMAT", "NAME", "Shown", "image_record", "summary_of", "write_explanations"]

FORMAT = 1
NAME = "explain.json"
_DIGITS = 4  # of probabilities and areas


@dataclass(frozen=True)
class Shown:
    """The image and the class that a map is of.

    Attributes:
        path: Of the image.
        label: True class, or classes; None where not known.
        prediction: Predicted class; with several labels per image a list, which may be empty.
        confidence: Of the prediction; with several labels of the target.
        target: The explained class.
    """

    path: str
    label: str | list[str] | None
    prediction: str | list[str]
    confidence: float
    target: str


def image_record(examination: Examination, shown: Shown, *, png: str) -> dict[str, Any]:
    """Return the row of a map. png: path of its panel, relative to explain.json."""
    found, facts, curves = examination.faithfulness, examination.facts, examination.curves
    last = examination.stages[-1]
    return {
        "path": shown.path,
        "method": examination.method,
        "layer": facts.get("layer"),
        "label": shown.label,
        "prediction": shown.prediction,
        "confidence": _rounded(shown.confidence),
        "target": shown.target,
        "probability": _rounded(examination.probability),
        "probability_of_nothing": _rounded(float(curves.deletion[-1])),
        "png": png,
        "deletion_auc": None if found is None else _rounded(found.deletion_area),
        "insertion_auc": None if found is None else _rounded(found.insertion_area),
        "random_deletion_auc": _rounded(float(np.mean([one.deletion_area for one in examination.random]))),
        "random_insertion_auc": _rounded(float(np.mean([one.insertion_area for one in examination.random]))),
        "deletion_gain": None if found is None else _rounded(found.deletion_gain),
        "insertion_gain": None if found is None else _rounded(found.insertion_gain),
        "beats_random_deletion": found is not None and found.beats_deletion,
        "beats_random_insertion": found is not None and found.beats_insertion,
        "curves": {
            "fraction": _list(curves.fraction),
            "deletion": _list(curves.deletion),
            "insertion": _list(curves.insertion),
            "random_deletion": _list(np.mean([one.deletion for one in examination.random], axis=0)),
            "random_insertion": _list(np.mean([one.insertion for one in examination.random], axis=0)),
        },
        "sanity": {
            "stages": [{"stage": stage.stage, "spearman": _rounded(stage.spearman)} for stage in examination.stages],
            "spearman": _rounded(last.spearman),
            "changed": examination.has_changed,
        },
        "completeness_residual": _rounded(facts.get("completeness_residual")),
        "verdict": examination.verdict.grade,
        "reason": examination.verdict.reason,
    }


def summary_of(images: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return shares and means over maps, None where there is no map."""
    grades = [row["verdict"] for row in images]
    verdict = judge_all(grades) if grades else None
    return {
        "images": len(images),
        **{grade: grades.count(grade) for grade in ("trustworthy", "weak", "bad")},
        "beats_random_deletion": _mean([row["beats_random_deletion"] for row in images]),
        "beats_random_insertion": _mean([row["beats_random_insertion"] for row in images]),
        "changed": _mean([row["sanity"]["changed"] for row in images]),
        "mean_deletion_gain": _mean([row["deletion_gain"] for row in images]),
        "mean_insertion_gain": _mean([row["insertion_gain"] for row in images]),
        "mean_spearman": _mean([row["sanity"]["spearman"] for row in images]),
        "verdict": verdict.grade if verdict else None,
        "reason": verdict.reason if verdict else "no image",
    }


def write_explanations(
    folder: Path,
    images: Sequence[Mapping[str, Any]],
    *,
    settings: Mapping[str, Any],
    failed: Sequence[Mapping[str, str]] = (),
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """Write explain.json into `folder` and return its contents.

    Args:
        folder: Of the result.
        images: Rows from `image_record`.
        settings: baseline, num_random and seed of the `Examiner`.
        failed: Images that could not be read.
        notes: Remarks for the reader.

    Raises:
        RunFolderError: The file cannot be written.
    """
    methods = list(dict.fromkeys(row["method"] for row in images))
    layers = [row["layer"] for row in images if row["layer"] is not None]
    content = {
        "format": FORMAT,
        "method": methods[0] if len(methods) == 1 else "all",
        "layer": layers[0] if layers else None,
        **settings,
        "images": list(images),
        "failed": list(failed),
        "summary": summary_of(images),
        "summaries": {name: summary_of([row for row in images if row["method"] == name]) for name in methods},
        "notes": list(notes),
    }
    write_json(folder / NAME, content)
    return content


def _rounded(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), _DIGITS)


def _list(values: Any) -> list[float]:
    return [round(float(value), _DIGITS) for value in values]


def _mean(values: Sequence[Any]) -> float | None:
    known = [float(value) for value in values if value is not None]
    return _rounded(sum(known) / len(known)) if known else None
