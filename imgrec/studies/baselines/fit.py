"""Choosing settings of a model, fitting it, and computing its scores per class."""

import pickle
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.core.keyed_random import shuffled
from imgrec.studies.baselines.models import Case, Family
from imgrec.studies.baselines.pixels import FloatArray

__all__ = ["Choice", "Fitted", "Labelled", "choose", "class_scores", "fit", "proportional"]

MOST_TUNED = 20_000  # training images for comparing settings, which differ by factors of three
FOLDS = 3
TINY = 1e-6  # in place of a probability of 0, whose logarithm is not finite
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Labelled:
    """features: float32 (N, D). labels: int64 (N,). groups: one name per image, or None."""

    features: FloatArray
    labels: IntArray
    groups: Sequence[str] | None = None

    def at(self, places: IntArray) -> "Labelled":
        """Return the images at `places`."""
        groups = None if self.groups is None else [self.groups[place] for place in places]
        return Labelled(self.features[places], self.labels[places], groups)


@dataclass(frozen=True)
class Choice:
    """Chosen settings, the accuracy of each candidate, and what it was measured on (None: nothing to choose)."""

    settings: Mapping[str, Any]
    tried: Sequence[tuple[Mapping[str, Any], float]] = ()
    chosen_on: str | None = None


@dataclass(frozen=True)
class Fitted:
    """A fitted estimator, the seconds that fitting took, its pickled size, and notes such as missing convergence."""

    estimator: Any
    seconds: float
    size_bytes: int
    notes: Sequence[str]


def choose(family: Family, train: Labelled, *, val: Labelled | None, seed: int) -> Choice:
    """Choose settings by accuracy on `val`, or by cross-validation within `train`, which keeps groups together.

    At most 20,000 training images are used, the classes in proportion.
    """
    if len(family.candidates) == 1:
        return Choice(family.candidates[0])
    if val is not None and len(val.labels):
        small = train.at(proportional(train.labels, MOST_TUNED, seed=seed))
        rounds, chosen_on = [(small, val)], "val"
    else:
        rounds = _folds(train.at(proportional(train.labels, MOST_TUNED, seed=seed)), seed=seed)
        chosen_on = f"{len(rounds)}-fold cross-validation of train"
    if not rounds:
        return Choice(family.candidates[len(family.candidates) // 2])
    tried = [
        (settings, float(np.mean([_accuracy(family, settings, *sides, seed=seed) for sides in rounds])))
        for settings in family.candidates
    ]
    return Choice(max(tried, key=lambda pair: pair[1])[0], tried, chosen_on)


def fit(family: Family, settings: Mapping[str, Any], train: Labelled, *, seed: int) -> Fitted:
    """Fit a model to all of `train`."""
    start = time.perf_counter()
    estimator, has_converged = _fitted(family, settings, train, seed=seed)
    seconds = time.perf_counter() - start
    notes = [] if has_converged else ["Fitting stopped before it had converged."]
    return Fitted(estimator, seconds, _size(estimator), notes)


def _fitted(family: Family, settings: Mapping[str, Any], train: Labelled, *, seed: int) -> tuple[Any, bool]:
    """Return an estimator fitted to `train`, and whether it converged."""
    from sklearn.exceptions import ConvergenceWarning

    num_train, num_features = train.features.shape
    estimator = family.make(Case(num_train, num_features, seed), **settings)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        estimator.fit(train.features, train.labels)
    return estimator, not any(issubclass(warning.category, ConvergenceWarning) for warning in caught)


def class_scores(family: Family, estimator: Any, features: FloatArray, *, num_classes: int) -> FloatArray:
    """Return a score per image and class, float32 (N, C), whose argmax is the predicted class.

    Logarithms of probabilities, or decision values. A class without training images has the lowest score.
    """
    if family.scores == "probabilities":
        known = np.log(np.maximum(estimator.predict_proba(features), TINY))
        least = float(np.log(TINY))
    else:
        known = estimator.decision_function(features)
        if known.ndim == 1:  # two classes: one number, positive for the second
            known = np.stack([-known, known], axis=1)
        least = float(known.min()) - 1
    scores = np.full((len(features), num_classes), least, dtype=np.float32)
    scores[:, np.asarray(estimator.classes_, dtype=np.int64)] = known
    return scores


def proportional(labels: IntArray, most: int, *, seed: int) -> IntArray:
    """Return at most `most` sorted indices, classes in proportion, every class represented while there is room."""
    if len(labels) <= most:
        return np.arange(len(labels))
    order = shuffled(len(labels), seed)
    rank = np.empty(len(labels))
    for label in np.unique(labels):
        of_class = order[labels[order] == label]
        rank[of_class] = np.arange(len(of_class)) / len(of_class)  # 0 for the first of each class
    return np.sort(order[np.argsort(rank[order], kind="stable")[:most]])


def _accuracy(family: Family, settings: Mapping[str, Any], train: Labelled, held_out: Labelled, *, seed: int) -> float:
    estimator, _ = _fitted(family, settings, train, seed=seed)
    return float((estimator.predict(held_out.features) == held_out.labels).mean())


def _folds(train: Labelled, *, seed: int) -> list[tuple[Labelled, Labelled]]:
    """Return (train, validation) of 3 folds, of 2 where classes or groups are small, or none."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    smallest = int(np.bincount(train.labels)[np.unique(train.labels)].min())
    num_groups = len(train.labels) if train.groups is None else len(set(train.groups))
    folds = min(FOLDS, max(2, smallest), num_groups)
    if folds < 2 or len(train.labels) < 2 * folds:
        return []
    kind = StratifiedKFold if train.groups is None else StratifiedGroupKFold
    splitter = kind(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        try:
            places = list(splitter.split(train.features, train.labels, train.groups))
        except ValueError:  # every class has fewer images than there are folds
            return []
    sides = [(train.at(fitted), train.at(held_out)) for fitted, held_out in places]
    return [pair for pair in sides if len(np.unique(pair[0].labels)) > 1 and len(pair[1].labels)]


def _size(estimator: Any) -> int:
    counter = _Counter()
    pickle.dump(estimator, counter, protocol=5)
    return counter.count


class _Counter:
    """A file that counts its bytes and keeps none."""

    def __init__(self) -> None:
        self.count = 0

    def write(self, data: Any) -> int:
        """Count `data`."""
        size = memoryview(data).nbytes
        self.count += size
        return size
