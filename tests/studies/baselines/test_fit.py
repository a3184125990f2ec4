"""imgrec.studies.baselines.fit: choosing settings, fitting, and what a model says of each class."""

import pickle
from typing import ClassVar

import numpy as np
import pytest
from sklearn.svm import LinearSVC

from imgrec.studies.baselines.fit import Labelled, choose, class_scores, fit, proportional
from imgrec.studies.baselines.models import MODELS, TRIVIAL, Family
from imgrec.studies.baselines.svm import LinearSvm


@pytest.fixture(autouse=True)
def few_trees(monkeypatch):
    monkeypatch.setattr("imgrec.studies.baselines.models.TREES", 5)
    monkeypatch.setattr("imgrec.studies.baselines.models.ITERATIONS", 5)


def blobs(count: int = 60, classes: int = 3, *, seed: int = 0, groups: int | None = None) -> Labelled:
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % classes
    features = rng.normal(size=(count, 5)).astype(np.float32) + 3 * np.eye(5, dtype=np.float32)[labels]
    return Labelled(features, labels, None if groups is None else [str(i // (count // groups)) for i in range(count)])


class Spy:
    """A model that remembers what it was fitted with, and is as accurate as its setting says."""

    seen: ClassVar[list[tuple[np.ndarray, np.ndarray]]] = []

    def __init__(self, right: float) -> None:
        self.right = right

    def fit(self, features, labels):
        Spy.seen.append((features, labels))
        self.classes_ = np.unique(labels)
        return self

    def predict(self, features):
        return np.where(np.arange(len(features)) < self.right * len(features), 0, 99)


@pytest.fixture
def spy() -> Family:
    Spy.seen = []
    return Family(lambda _, right: Spy(right), [{"right": right} for right in (0.1, 0.9, 0.9, 0.3)], "probabilities")


def test_settings_are_chosen_by_validation_and_the_first_of_equals_wins(spy):
    held_out = Labelled(np.zeros((10, 2), dtype=np.float32), np.zeros(10, dtype=np.int64))
    choice = choose(spy, blobs(), val=held_out, seed=1)
    assert choice.settings is spy.candidates[1]
    assert choice.chosen_on == "val"
    assert [accuracy for _, accuracy in choice.tried] == [0.1, 0.9, 0.9, 0.3]
    assert all(len(labels) == 60 for _, labels in Spy.seen)  # fitted to the training part alone


def test_without_validation_they_are_chosen_within_train(spy):
    choice = choose(spy, blobs(), val=None, seed=1)
    assert choice.chosen_on == "3-fold cross-validation of train"
    assert [len(labels) for _, labels in Spy.seen] == [40] * 12


def test_cross_validation_keeps_groups_whole(spy):
    train = blobs(60, groups=6)
    choose(spy, train, val=None, seed=1)
    place = {row.tobytes(): group for row, group in zip(train.features, train.groups, strict=True)}
    for features, _ in Spy.seen:
        used = {place[row.tobytes()] for row in features}
        assert len(features) == 10 * len(used), "a group is in a fold with all its images"


def test_settings_are_compared_on_a_part_of_many_images(spy, monkeypatch):
    monkeypatch.setattr("imgrec.studies.baselines.fit.MOST_TUNED", 30)
    choose(spy, blobs(60), val=blobs(9), seed=1)
    assert {len(labels) for _, labels in Spy.seen} == {30}
    assert np.bincount(Spy.seen[0][1]).tolist() == [10, 10, 10]


def test_a_class_with_one_image_does_not_stop_the_choice():
    train = blobs(31)
    labels = train.labels.copy()
    labels[-1] = 4
    choice = choose(MODELS["linear_svm"], Labelled(train.features, labels), val=None, seed=1)
    assert choice.chosen_on == "2-fold cross-validation of train"


def test_with_two_images_there_is_nothing_to_choose_by():
    few = Labelled(np.eye(2, dtype=np.float32), np.array([0, 1]))
    choice = choose(MODELS["knn"], few, val=None, seed=1)
    assert (choice.chosen_on, choice.tried) == (None, ())
    assert choice.settings == {"k": 5}
    fitted = fit(MODELS["knn"], choice.settings, few, seed=1)  # k is more than there are images
    assert fitted.estimator.n_neighbors == 2


@pytest.mark.parametrize("name", [*MODELS, *TRIVIAL])
def test_the_largest_score_is_of_the_class_that_the_model_predicts(name):
    family = (MODELS | TRIVIAL)[name]
    train, test = blobs(60), blobs(30, seed=1)
    fitted = fit(family, family.candidates[0], train, seed=1)
    scores = class_scores(family, fitted.estimator, test.features, num_classes=4)
    assert (scores.shape, scores.dtype) == ((30, 4), np.float32)
    assert np.isfinite(scores).all()
    assert (scores[:, 3] <= scores.min(axis=1)).all(), "no image of class 3 was there to train"
    if name != "stratified":  # draws again with every call
        assert np.array_equal(scores.argmax(axis=1), fitted.estimator.predict(test.features))


@pytest.mark.parametrize("name", [*MODELS, *TRIVIAL])
def test_a_model_is_the_same_for_the_same_seed(name):
    family = (MODELS | TRIVIAL)[name]
    scores = [
        class_scores(
            family, fit(family, family.candidates[-1], blobs(60), seed=3).estimator, blobs(9).features, num_classes=3
        )
        for _ in range(2)
    ]
    assert np.array_equal(*scores)


@pytest.mark.parametrize("name", ["linear_svm", "kernel_svm", "knn"])
def test_two_classes_have_a_score_each(name):
    family = MODELS[name]
    train = blobs(40, classes=2)
    fitted = fit(family, family.candidates[0], train, seed=1)
    scores = class_scores(family, fitted.estimator, train.features, num_classes=2)
    assert np.array_equal(scores.argmax(axis=1), fitted.estimator.predict(train.features))


@pytest.mark.parametrize("C", [0.1, 1, 30])
@pytest.mark.parametrize("classes", [2, 3])
def test_the_fast_linear_svm_is_that_of_scikit_learn(C, classes):  # noqa: N803
    train, other = blobs(90, classes), blobs(30, classes, seed=2)
    train.features[::7] *= -1  # not separable
    ours = LinearSvm(C, tol=1e-9).fit(train.features, train.labels)
    theirs = LinearSVC(C=C, dual=False, tol=1e-8).fit(train.features, train.labels)
    expected = theirs.decision_function(other.features)
    scores = ours.decision_function(other.features)
    assert np.allclose(scores if classes > 2 else scores[:, 1], expected, atol=2e-3)
    assert np.array_equal(ours.predict(other.features), theirs.predict(other.features))


def test_the_loss_of_the_fast_linear_svm_is_as_low_as_scikit_learn_s():
    train = blobs(90)
    train.features[::7] *= -1
    ours = LinearSvm(3).fit(train.features, train.labels)
    theirs = LinearSVC(C=3, dual=False, tol=1e-8).fit(train.features, train.labels)
    assert loss(ours, train, C=3) <= 1.001 * loss(theirs, train, C=3)


def loss(machine, train: Labelled, *, C: float) -> float:  # noqa: N803
    signs = np.where(train.labels[:, None] == machine.classes_, 1, -1)
    missing = np.maximum(1 - signs * machine.decision_function(train.features), 0)
    return float((machine.coef_**2).sum() + (machine.intercept_**2).sum()) / 2 + C * float((missing**2).sum())


def test_more_features_than_images_are_fitted_by_scikit_learn():
    wide = Labelled(np.random.default_rng(0).normal(size=(12, 90)).astype(np.float32), np.arange(12) % 2)
    assert isinstance(fit(MODELS["linear_svm"], {"C": 1}, wide, seed=1).estimator, LinearSVC)
    assert isinstance(fit(MODELS["linear_svm"], {"C": 1}, blobs(), seed=1).estimator, LinearSvm)


def test_probabilities_become_their_logarithms():
    train = blobs()
    fitted = fit(MODELS["knn"], {"k": 5}, train, seed=1)
    scores = class_scores(MODELS["knn"], fitted.estimator, blobs(9, seed=2).features, num_classes=3)
    powers = np.exp(scores)
    expected = fitted.estimator.predict_proba(blobs(9, seed=2).features)
    assert np.allclose(powers / powers.sum(axis=1, keepdims=True), expected, atol=1e-5)


def test_the_size_is_that_of_the_pickled_model():
    fitted = fit(MODELS["linear_svm"], {"C": 1}, blobs(), seed=1)
    assert fitted.size_bytes == len(pickle.dumps(fitted.estimator, protocol=5))


@pytest.mark.parametrize(
    "make", [lambda: LinearSVC(max_iter=1, dual=True, C=1e6), lambda: LinearSvm(1e3, max_iter=1)], ids=["dual", "fast"]
)
def test_a_model_that_did_not_converge_says_so(make):
    family = Family(lambda _: make(), [{}], "decision_values")
    assert fit(family, {}, blobs(200, seed=5), seed=1).notes == ["Fitting stopped before it had converged."]


def test_many_training_images_have_their_kernel_approximated(monkeypatch):
    monkeypatch.setattr("imgrec.studies.baselines.models.EXACT_KERNEL", 50)
    monkeypatch.setattr("imgrec.studies.baselines.models.LANDMARKS", 20)
    fitted = fit(MODELS["kernel_svm"], {"C": 1, "gamma": 0.1}, blobs(60), seed=1)
    assert [name for name, _ in fitted.estimator.steps] == ["nystroem", "linearsvm"]
    assert (fitted.estimator.predict(blobs(60).features) == blobs(60).labels).mean() > 0.9


def test_many_features_are_reduced_for_boosting():
    wide = Labelled(np.random.default_rng(0).normal(size=(40, 90)).astype(np.float32), np.arange(40) % 2)
    fitted = fit(MODELS["gradient_boosting"], {"learning_rate": 0.1}, wide, seed=1)
    assert fitted.estimator.steps[0][1].n_components == 40


def test_a_part_has_the_classes_in_proportion_and_every_class():
    labels = np.array([0] * 80 + [1] * 18 + [2] * 2)
    part = proportional(labels, 20, seed=1)
    assert np.bincount(labels[part]).tolist() == [15, 4, 1]
    assert sorted(labels[proportional(labels, 3, seed=1)].tolist()) == [0, 1, 2]
    assert part.tolist() == sorted(part)
    assert np.array_equal(part, proportional(labels, 20, seed=1))
    assert not np.array_equal(part, proportional(labels, 20, seed=2))
    assert proportional(labels, 100, seed=1).tolist() == list(range(100))
