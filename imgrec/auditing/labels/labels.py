"""Which labels are probably wrong: each image's class is predicted by a model that has not seen it, or its duplicates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from imgrec.auditing.labels.features import FloatArray, IntArray, handmade_features
from imgrec.auditing.labels.folds import judged_rows, make_folds, unite
from imgrec.auditing.scan.facts import FactsTable
from imgrec.core.keyed_random import shuffled
from imgrec.data.images.lazy_image import LazyImage, open_image
from imgrec.data.samples import Samples, UInt8Array
from imgrec.errors import MissingExtraError

__all__ = ["BY_HAND", "LabelRanking", "SuspectedLabel", "rank_labels", "suspected_labels"]

BY_HAND = "edges and colours (made by hand)"
TRUSTED_SKILL = 0.5  # below, the model is wrong about too many right labels for its word to count against a label
FIT_SIZE = 60_000  # images that the model of a fold is fitted to, so that a million cost minutes
STRENGTH = 0.1  # inverse of the penalty: found nearly best, 0.003 to 1, for 9 data sets with 5 % of labels flipped
MAX_STEPS = 50  # of the fit; the ranking of Fashion-MNIST is the same after 30 as after 300


@dataclass(frozen=True)
class SuspectedLabel:
    """A label that is probably wrong.

    row: of the facts. given, suggested: class indices. confidence: probability of `suggested`, 0 to 1.
    score: probability of `given`, 0 (surely wrong) to 1, both by a model that was fitted without this image.
    """

    row: int
    given: int
    suggested: int
    confidence: float
    score: float


@dataclass(frozen=True)
class LabelRanking:
    """All judged labels, the most doubtful first, and those of them that are suspected.

    suspects: as many as cleanlab estimates to be wrong, the most doubtful first.
    rows: int64 (M,) rows of the facts, the most doubtful first; scores: float32 (M,), that of `SuspectedLabel`.
    accuracy: mean over classes of the share of images whose given label is predicted; None: nothing was judged.
    skill: the same on a scale where guessing has 0 and no error 1. Below 0.5, hard images crowd out wrong labels:
        `severity` is info then, else warning.
    features: what the images were described by. notes: what was left out and why.
    """

    suspects: list[SuspectedLabel]
    rows: IntArray
    scores: FloatArray
    accuracy: float | None
    skill: float | None
    features: str
    notes: list[str]

    @property
    def severity(self) -> Literal["warning", "info"]:
        """How much the list is worth: that of a model which hardly knows the classes is for information."""
        return "warning" if self.skill is not None and self.skill >= TRUSTED_SKILL else "info"


def suspected_labels(
    facts: FactsTable,
    parts: Mapping[str, Samples],
    *,
    features: str | None = None,
    weights: str | Path | None = None,
    duplicates: Sequence[str] | None = None,
    folds: int = 5,
    seed: int = 1,
) -> LabelRanking:
    """Rank the labels of all splits together by how little a model of the other images agrees with them.

    parts: the splits that `facts` was made from, in the same order.
    features: a network of torchvision, whose last layer describes the images; None: `handmade_features`. `weights`:
        a file, DEFAULT to fetch torchvision's, or None for torchvision's if they were fetched before. If not, the
        notes say so and the images are described by hand.
    duplicates: a name per row, equal for duplicates (`duplicate_groups`). Duplicates and images of a group are in one fold.
    Not judged, and noted where labelled: broken images, classes with fewer groups of images than `folds`.
    Several labels per image: nothing is judged.
    Raises: MissingExtraError: cleanlab is not installed. ConfigError, WeightsError: as `make_backbone`.
    """
    units = unite(facts.group, duplicates, count=len(facts))
    rows, notes = judged_rows(facts, units, folds=folds)
    if any(part.labels.ndim == 2 for part in parts.values()):
        notes = ["Several labels per image: suspected labels are found for one label per image only."]
    if len(rows) == 0:
        return LabelRanking([], rows, np.empty(0, dtype=np.float32), None, None, "", notes)
    _check_cleanlab()
    described, words = _describe(parts, rows, features=features, weights=weights, seed=seed, notes=notes)
    fold = make_folds(facts.label[rows], units[rows], folds=folds, seed=seed)
    return rank_labels(described, facts.label[rows], fold, rows=rows, features=words, notes=notes, seed=seed)


def rank_labels(
    described: FloatArray,
    labels: IntArray,
    fold: IntArray,
    *,
    rows: IntArray,
    features: str = "",
    notes: Sequence[str] = (),
    seed: int = 1,
) -> LabelRanking:
    """Rank labels int64 (M,) of images described by float32 (M, d), each judged by the model of the other folds.

    Every class is in two folds or more. Scores and the number of suspects are cleanlab's: self-confidence, and pruning
    by noise rate (Northcutt et al. 2021, arXiv:1911.00068, section 3.2). Raises: MissingExtraError.
    """
    _check_cleanlab()
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    classes, given = np.unique(labels, return_inverse=True)
    probabilities = _out_of_fold(described, given, fold, num_classes=len(classes), seed=seed)
    scores = np.asarray(get_label_quality_scores(given, probabilities, method="self_confidence"), dtype=np.float32)
    is_issue = np.asarray(find_label_issues(given, probabilities, n_jobs=1), dtype=bool)
    predicted = probabilities.argmax(axis=1)
    order = np.argsort(scores, kind="stable")
    suspects = [
        SuspectedLabel(
            row=int(rows[i]),
            given=int(labels[i]),
            suggested=int(classes[predicted[i]]),
            confidence=float(probabilities[i, predicted[i]]),
            score=float(scores[i]),
        )
        for i in order
        if is_issue[i] and predicted[i] != given[i]
    ]
    right = np.bincount(given, weights=predicted == given) / np.bincount(given)
    chance = 1 / len(classes)
    skill = (float(right.mean()) - chance) / (1 - chance)
    return LabelRanking(suspects, rows[order], scores[order], float(right.mean()), skill, features, list(notes))


def _check_cleanlab() -> None:
    try:
        import cleanlab  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("cleanlab", "clean") from error


def _out_of_fold(
    described: FloatArray, given: NDArray[np.intp], fold: IntArray, *, num_classes: int, seed: int
) -> FloatArray:
    """Return the probabilities (M, C) that each image gets from a logistic regression on the other folds."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    # One scale for all components keeps their proportions: the later ones are mostly noise.
    scaled = (described - described.mean(axis=0)) / max(float(described.std()), 1e-12)
    probabilities = np.zeros((len(given), num_classes), dtype=np.float32)
    for number in np.unique(fold):
        others = np.flatnonzero(fold != number)
        fitted = _at_most(others, given[others], FIT_SIZE, seed=seed)
        model = LogisticRegression(C=STRENGTH, max_iter=MAX_STEPS, tol=1e-3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # an early end is meant: see MAX_STEPS
            model.fit(scaled[fitted], given[fitted])
        here = np.flatnonzero(fold == number)
        probabilities[here[:, None], model.classes_] = model.predict_proba(scaled[here])
    return probabilities


def _at_most(rows: IntArray, given: NDArray[np.intp], limit: int, *, seed: int) -> IntArray:
    """Return a seeded choice of `limit` rows, the rare classes whole before the frequent ones."""
    if len(rows) <= limit:
        return rows
    order = shuffled(len(rows), seed)
    by_class = order[np.argsort(given[order], kind="stable")]
    counts = np.bincount(given)
    turn = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)  # 0, 1, 2 ... within each class
    return np.sort(rows[by_class[np.argsort(turn, kind="stable")[:limit]]])


@dataclass(frozen=True)
class _AllSplits:
    """The images of all splits, one after the other, as the rows of the facts are."""

    parts: Sequence[Samples]

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def __getitem__(self, index: int, /) -> UInt8Array:
        part, place = self._find(index)
        return part.images[place]

    def open(self, index: int) -> LazyImage:
        """Open an image without decoding it."""
        part, place = self._find(index)
        return open_image(part.images, place)

    def _find(self, index: int) -> tuple[Samples, int]:
        for part in self.parts:
            if index < len(part):
                return part, index
            index -= len(part)
        raise IndexError(index)


def _describe(
    parts: Mapping[str, Samples],
    rows: IntArray,
    *,
    features: str | None,
    weights: str | Path | None,
    seed: int,
    notes: list[str],
) -> tuple[FloatArray, str]:
    """Return the features (M, d) and what they are, in words; add to `notes` where they are not those asked for."""
    images = _AllSplits(list(parts.values()))
    if features is None:
        return handmade_features(images, rows, seed=seed), BY_HAND
    from imgrec.auditing.labels.backbone_features import backbone_features, weights_at_hand

    if weights is None and not weights_at_hand(features):
        notes.append(
            f"No weights of {features} are on this machine, so images are described by {BY_HAND}. "
            "Name a file of weights, or DEFAULT to fetch torchvision's."
        )
        return handmade_features(images, rows, seed=seed), BY_HAND
    source = "DEFAULT" if weights is None else weights
    return backbone_features(images, rows, name=features, weights=source, seed=seed), f"{features} ({source})"
