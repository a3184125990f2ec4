"""Which images a page shows: the surest mistakes, and some of each cell of the confusion matrix."""

import numpy as np
from numpy.typing import NDArray

from imgrec.evaluation.predictions.predictions import Predictions

__all__ = ["NUM_THUMBNAILS", "choose_images", "worst_mistakes"]

NUM_THUMBNAILS = 900  # about 4 MB of photographs
_PER_CELL = 24  # as many as the page names of a cell


def worst_mistakes(predictions: Predictions) -> NDArray[np.int64]:
    """Return the rows with a wrong prediction, the worst first: the surest, or those that deny a label the surest.

    With several labels per image a row is as bad as its worst label: how far its probability is from the truth.
    """
    if predictions.task == "multilabel":
        wrong = np.flatnonzero((predictions.predicted != predictions.labels).any(axis=1))
        badness = np.abs(predictions.probabilities - predictions.labels).max(axis=1)
    else:
        wrong = np.flatnonzero(predictions.predicted != predictions.labels)
        badness = predictions.probabilities.max(axis=1)
    return np.asarray(wrong[np.argsort(-badness[wrong], kind="stable")], dtype=np.int64)


def choose_images(predictions: Predictions, *, at_most: int = NUM_THUMBNAILS) -> list[int]:
    """Return the rows whose images a page may show, in their order of importance.

    First the worst mistakes, then the first of each cell of the confusion matrix in turn, so that each cell has some.
    """
    worst = worst_mistakes(predictions).tolist()
    chosen = dict.fromkeys(worst[:48])
    if predictions.task == "multilabel":
        return list(dict.fromkeys([*chosen, *worst]))[:at_most]
    confidence = predictions.probabilities.max(axis=1)
    right = np.flatnonzero(predictions.predicted == predictions.labels)
    unsure = right[np.argsort(confidence[right], kind="stable")].tolist()
    seen: dict[tuple[int, int], int] = {}
    ranked: list[tuple[int, int, int]] = []  # (place in its cell, whether right, row)
    for row in [*worst, *unsure]:
        cell = int(predictions.labels[row]), int(predictions.predicted[row])
        place = seen[cell] = seen.get(cell, -1) + 1
        if place < _PER_CELL:
            ranked.append((place, int(cell[0] == cell[1]), row))
    chosen.update(dict.fromkeys(row for _, _, row in sorted(ranked)))
    return list(chosen)[:at_most]
