"""Choice of the images in a report: worst mistakes, and some of each cell of the confusion matrix."""

import numpy as np
from numpy.typing import NDArray

from imgrec.evaluation.predictions.predictions import Predictions

__all__ = ["NUM_THUMBNAILS", "choose_images", "worst_mistakes"]

NUM_THUMBNAILS = 900
_PER_CELL = 24  # as many as the report lists


def worst_mistakes(predictions: Predictions) -> NDArray[np.int64]:
    """Return the rows with an incorrect prediction, highest confidence first.

    With several labels per image, sorted by the largest error |probability - label| of a row.
    """
    if predictions.task == "multilabel":
        incorrect = np.flatnonzero((predictions.predicted != predictions.labels).any(axis=1))
        error = np.abs(predictions.probabilities - predictions.labels).max(axis=1)
    else:
        incorrect = np.flatnonzero(predictions.predicted != predictions.labels)
        error = predictions.probabilities.max(axis=1)
    return np.asarray(incorrect[np.argsort(-error[incorrect], kind="stable")], dtype=np.int64)


def choose_images(predictions: Predictions, *, at_most: int = NUM_THUMBNAILS) -> list[int]:
    """Return the rows whose images a report shows, most important first.

    First the worst mistakes, then images of all cells of the confusion matrix in turn, so that each cell has some.
    """
    worst = worst_mistakes(predictions).tolist()
    chosen = dict.fromkeys(worst[:48])
    if predictions.task == "multilabel":
        return list(dict.fromkeys([*chosen, *worst]))[:at_most]
    confidence = predictions.probabilities.max(axis=1)
    correct = np.flatnonzero(predictions.predicted == predictions.labels)
    unsure = correct[np.argsort(confidence[correct], kind="stable")].tolist()
    seen: dict[tuple[int, int], int] = {}
    ranked: list[tuple[int, int, int]] = []  # (rank in its cell, whether correct, row)
    for row in [*worst, *unsure]:
        cell = int(predictions.labels[row]), int(predictions.predicted[row])
        rank = seen[cell] = seen.get(cell, -1) + 1
        if rank < _PER_CELL:
            ranked.append((rank, int(cell[0] == cell[1]), row))
    chosen.update(dict.fromkeys(row for _, _, row in sorted(ranked)))
    return list(chosen)[:at_most]
