"""Suspected label errors, by out-of-fold predictions of a logistic regression and confident learning (cleanlab)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from imgrec.auditing.labels.features import FloatArray, IntArray, handcrafted_features
from imgrec.auditing.labels.folds import judged_rows, make_folds, unite
from imgrec.auditing.scan.facts import FactsTable
from imgrec.core.keyed_random import shuffled
from imgrec.data.images.lazy_image import LazyImage, open_image
from imgrec.data.samples import Samples, UInt8Array
from imgrec.errors import MissingExtraError

__all__ = ["HANDCRAFTED", "LabelRanking", "SuspectedLabel", "rank_labels", "suspected_labels"]

HANDCRAFTED = "handcrafted features (edges and colours)"
TRUSTED_SKILL = 0.5  # below, too many predictions are incorrect for correct labels
FIT_SIZE = 60_000  # images that the model of a fold is fitted to: bounds the time
STRENGTH = 0.1  # inverse regularisation: nearly the best of 0.003 to 1 on 9 data sets with 5 % of labels flipped
MAX_STEPS = 50  # of the fit; the ranking of Fashion-MNIST is the same after 30 as after 300


@dataclass(frozen=True)
class SuspectedLabel:
    """A label that is probably wrong.

    Attributes:
        row: Row of the facts.
        given: Class index of the label.
        suggested: Class index of the out-of-fold prediction.
        confidence: Out-of-fold probability of `suggested`, 0 to 1.
        score: Out-of-fold probability of `given`, 0 to 1; low is doubtful.
    """

    row: int
    given: int
    suggested: int
    confidence: float
    score: float


@dataclass(frozen=True)
class LabelRanking:
    """All judged labels, the most doubtful first, and the suspected errors among them.

    Attributes:
        suspects: As many as cleanlab estimates to be wrong, the most doubtful first.
        rows: int64 (M,), rows of the facts, the most doubtful first.
        scores: float32 (M,), as in `SuspectedLabel`.
        accuracy: Balanced accuracy of the out-of-fold predictions; None: nothing was judged.
        skill: The same, scaled so that chance is 0 and no error is 1. Below 0.5 most suspects are hard images:
            `severity` is info then, else warning.
        features: What the images are described by.
        notes: What was excluded, and why.
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
        """Severity of the suspects: info if the model hardly predicts the classes."""
        return "warning" if self.skill is not None and self.skill >= TRUSTED_SKILL else "info"


def suspected_labels(
    facts: FactsTable,
    splits: Mapping[str, Samples],
    *,
    features: str | None = None,
    weights: str | Path | None = None,
    duplicates: Sequence[str] | None = None,
    folds: int = 5,
    seed: int = 1,
) -> LabelRanking:
    """Rank the labels of all splits by the out-of-fold probability that a model of the other images gives them.

    Broken images and classes with fewer units (see `unite`) than `folds` are not judged; with several labels per image,
    nothing is.

    Args:
        facts: The images.
        splits: The splits that `facts` was made from, in the same order.
        features: A torchvision model whose last layer describes the images; None: `handcrafted_features`.
        weights: A file; "DEFAULT" to download torchvision's; None for torchvision's if they are in the cache. If not,
            handcrafted features are used and a note is added.
        duplicates: A name per row, equal for duplicates (`duplicate_groups`), which are kept in one fold.
        folds: Number of folds.
        seed: Of the folds.

    Raises:
        MissingExtraError: cleanlab is not installed.
        ConfigError: torchvision has no model `features`.
        WeightsError: The weights cannot be loaded.
    """
    units = unite(facts.group, duplicates, count=len(facts))
    rows, notes = judged_rows(facts, units, folds=folds)
    if any(samples.labels.ndim == 2 for samples in splits.values()):
        notes = ["Several labels per image: suspected labels are found for one label per image only."]
    if len(rows) == 0:
        return LabelRanking([], rows, np.empty(0, dtype=np.float32), None, None, "", notes)
    _check_cleanlab()
    described, description = _describe(splits, rows, features=features, weights=weights, seed=seed, notes=notes)
    fold = make_folds(facts.label[rows], units[rows], folds=folds, seed=seed)
    return rank_labels(described, facts.label[rows], fold, rows=rows, features=description, notes=notes, seed=seed)


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
    """Rank labels by models of the other folds.

    Scores and the number of suspects are cleanlab's: self-confidence, and pruning by noise rate (Northcutt et al. 2021,
    arXiv:1911.00068, section 3.2).

    Args:
        described: Features, float32 (M, d).
        labels: int64 (M,).
        fold: int64 (M,); every class is in at least two folds.
        rows: Rows of the facts, int64 (M,).
        features: What the features are, for the report.
        notes: Notes for the result.
        seed: Of the images that a model is fitted to.

    Raises:
        MissingExtraError: cleanlab is not installed.
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
    recall = np.bincount(given, weights=predicted == given) / np.bincount(given)
    chance = 1 / len(classes)
    skill = (float(recall.mean()) - chance) / (1 - chance)
    return LabelRanking(suspects, rows[order], scores[order], float(recall.mean()), skill, features, list(notes))


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

    # One scale for all components: the later ones are mostly noise.
    scaled = (described - described.mean(axis=0)) / max(float(described.std()), 1e-12)
    probabilities = np.zeros((len(given), num_classes), dtype=np.float32)
    for number in np.unique(fold):
        others = np.flatnonzero(fold != number)
        fitted = _at_most(others, given[others], FIT_SIZE, seed=seed)
        model = LogisticRegression(C=STRENGTH, max_iter=MAX_STEPS, tol=1e-3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # stopped early on purpose: see MAX_STEPS
            model.fit(scaled[fitted], given[fitted])
        here = np.flatnonzero(fold == number)
        probabilities[here[:, None], model.classes_] = model.predict_proba(scaled[here])
    return probabilities


def _at_most(rows: IntArray, given: NDArray[np.intp], limit: int, *, seed: int) -> IntArray:
    """Return a seeded choice of `limit` rows, balanced over the classes as far as possible."""
    if len(rows) <= limit:
        return rows
    order = shuffled(len(rows), seed)
    by_class = order[np.argsort(given[order], kind="stable")]
    counts = np.bincount(given)
    turn = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)  # 0, 1, 2 ... within each class
    return np.sort(rows[by_class[np.argsort(turn, kind="stable")[:limit]]])


@dataclass(frozen=True)
class _AllSplits:
    """The images of all splits, one after the other, as the rows of the facts."""

    splits: Sequence[Samples]

    def __len__(self) -> int:
        return sum(len(samples) for samples in self.splits)

    def __getitem__(self, index: int, /) -> UInt8Array:
        samples, place = self._find(index)
        return samples.images[place]

    def open(self, index: int) -> LazyImage:
        """Open an image without decoding it."""
        samples, place = self._find(index)
        return open_image(samples.images, place)

    def _find(self, index: int) -> tuple[Samples, int]:
        for samples in self.splits:
            if index < len(samples):
                return samples, index
            index -= len(samples)
        raise IndexError(index)


def _describe(
    splits: Mapping[str, Samples],
    rows: IntArray,
    *,
    features: str | None,
    weights: str | Path | None,
    seed: int,
    notes: list[str],
) -> tuple[FloatArray, str]:
    """Return the features (M, d) and their description; add to `notes` if they are not the requested ones."""
    images = _AllSplits(list(splits.values()))
    if features is None:
        return handcrafted_features(images, rows, seed=seed), HANDCRAFTED
    from imgrec.auditing.labels.backbone_features import backbone_features, weights_at_hand

    if weights is None and not weights_at_hand(features):
        notes.append(
            f"No weights of {features} on this machine; {HANDCRAFTED} are used. "
            "Name a weights file, or DEFAULT to download torchvision's."
        )
        return handcrafted_features(images, rows, seed=seed), HANDCRAFTED
    source = "DEFAULT" if weights is None else weights
    return backbone_features(images, rows, name=features, weights=source, seed=seed), f"{features} ({source})"
