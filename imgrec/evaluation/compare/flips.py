"""Images that only one of two runs predicts correctly, and those on which both err differently."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.evaluation.compare.runs import Run
from imgrec.evaluation.metrics.metric_files import as_cell
from imgrec.evaluation.predictions.predictions import Predictions

__all__ = ["CHANGES", "Flip", "Flips", "find_flips", "to_csv"]

CHANGES = ("gained", "lost", "changed")
SEPARATOR = " | "


@dataclass(frozen=True)
class Flip:
    """An image whose prediction differs.

    Attributes:
        path: Of the image.
        label: Ground truth.
        change: `"gained"` (only b is correct), `"lost"` (only a is), or `"changed"` (both incorrect, differently).
        a: Prediction of most trainings of run a.
        b: Of run b.
        confidence_a: Mean probability of that prediction; NaN with several labels.
        confidence_b: Of run b.
        correct_a: Share of trainings that are correct; more than half counts as correct.
        correct_b: Of run b.
    """

    path: str
    label: str
    change: str
    a: str
    b: str
    confidence_a: float
    confidence_b: float
    correct_a: float
    correct_b: float


@dataclass(frozen=True)
class Flips:
    """The images that flipped, highest confidence first; and the counts, also per class: int64 (C,)."""

    rows: list[Flip]
    num_gained: int
    num_lost: int
    num_changed: int
    gained_by_class: NDArray[np.int64]
    lost_by_class: NDArray[np.int64]


def find_flips(first: Predictions, a: Run, b: Run) -> Flips:
    """Compare two runs image by image. Their tables are aligned with `first`."""
    correct_a, correct_b = _share_correct(a), _share_correct(b)
    is_a, is_b = correct_a > 0.5, correct_b > 0.5
    votes_a, votes_b = _votes(a), _votes(b)
    differs = (votes_a != votes_b).reshape(len(first), -1).any(axis=1)
    gained, lost, changed = ~is_a & is_b, is_a & ~is_b, ~is_a & ~is_b & differs
    labels = first.labels if first.labels.ndim == 2 else first.labels[:, None] == np.arange(len(first.class_names))
    kinds = zip(CHANGES, (gained, lost, changed), strict=True)
    rows = [
        _flip(first, row, change, votes=(votes_a, votes_b), runs=(a, b), correct=(correct_a[row], correct_b[row]))
        for change, chosen in kinds
        for row in np.flatnonzero(chosen).tolist()
    ]
    rows.sort(key=lambda flip: (CHANGES.index(flip.change), -np.nan_to_num(flip.confidence_a + flip.confidence_b)))
    return Flips(
        rows,
        int(gained.sum()),
        int(lost.sum()),
        int(changed.sum()),
        gained_by_class=(labels[gained] == 1).sum(axis=0),
        lost_by_class=(labels[lost] == 1).sum(axis=0),
    )


def to_csv(pairs: Sequence[tuple[str, str, Flips]]) -> bytes:
    """Return one line per pair and image."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ("run_a", "run_b", "path", "label", "change", "prediction_a", "prediction_b", "confidence_a", "confidence_b",
         "correct_a", "correct_b")
    )  # fmt: skip
    for name_a, name_b, flips in pairs:
        for flip in flips.rows:
            names = (name_a, name_b, flip.path, flip.label, flip.change, flip.a, flip.b)
            numbers = (flip.confidence_a, flip.confidence_b, flip.correct_a, flip.correct_b)
            writer.writerow(
                [*map(as_cell, names), *("" if np.isnan(number) else f"{number:.6g}" for number in numbers)]
            )
    return text.getvalue().encode("utf-8")


def _share_correct(run: Run) -> NDArray[np.float64]:
    """Return the share of trainings that predict an image (all its labels) correctly, float64 (N,)."""
    hits = [(table.predicted == table.labels).reshape(len(table), -1).all(axis=1) for table in run.tables]
    return np.asarray(np.mean(hits, axis=0))


def _votes(run: Run) -> NDArray[np.int64]:
    """Return the majority vote of the trainings, on ties the first class: int64 (N,), or 0/1 (N, C)."""
    predicted = np.array([table.predicted for table in run.tables])
    if predicted.ndim == 3:
        return np.asarray(predicted.mean(axis=0) > 0.5, dtype=np.int64)
    counts = np.zeros((predicted.shape[1], len(run.tables[0].class_names)), dtype=np.int64)
    for votes in predicted:
        counts[np.arange(len(votes)), votes] += 1
    return np.asarray(counts.argmax(axis=1))


def _flip(
    first: Predictions,
    row: int,
    change: str,
    *,
    votes: tuple[NDArray[np.int64], NDArray[np.int64]],
    runs: tuple[Run, Run],
    correct: tuple[float, float],
) -> Flip:
    predicted = votes[0][row], votes[1][row]
    confidences = [np.nan, np.nan]
    if first.task == "single":
        confidences = [
            float(np.mean([table.probabilities[row, index] for table in run.tables]))
            for run, index in zip(runs, predicted, strict=True)
        ]
    return Flip(
        path=first.names[row],
        label=_name(first, first.labels[row]),
        change=change,
        a=_name(first, predicted[0]),
        b=_name(first, predicted[1]),
        confidence_a=confidences[0],
        confidence_b=confidences[1],
        correct_a=float(correct[0]),
        correct_b=float(correct[1]),
    )


def _name(first: Predictions, label: Any) -> str:
    if np.ndim(label) == 0:
        return first.class_names[int(label)]
    return SEPARATOR.join(first.class_names[index] for index in np.flatnonzero(label).tolist())
