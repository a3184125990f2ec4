"""The scores of several labels per image, against scikit-learn."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sk

from imgrec.evaluation.metrics.compute import compute_metrics
from imgrec.evaluation.predictions.parquet import read_parquet, write_parquet
from imgrec.evaluation.predictions.predictions import Predictions


@st.composite
def tables(draw):
    """Draw few images with few different logits: ties, empty rows, absent and never predicted classes are common."""
    shape = (draw(st.integers(1, 25)), draw(st.integers(2, 5)))
    labels = draw(arrays(np.uint8, shape, elements=st.integers(0, 1)))
    logits = draw(arrays(np.float32, shape, elements=st.sampled_from([-20, -1, 0, 0.5, 2])))
    return make_predictions(labels, logits)


def make_predictions(labels, logits):
    class_names = [f"class {i}" for i in range(logits.shape[1])]
    names = [str(i) for i in range(len(labels))]
    return Predictions(names=names, labels=labels, logits=logits, class_names=class_names, task="multilabel")


def scores_of(predictions):
    """The scores alone: intervals have tests of their own."""
    return compute_metrics(predictions, resamples=0)


def decide(labels, is_predicted):
    """Predictions of which exactly `is_predicted` is above one half."""
    logits = np.where(is_predicted, 1, -1).astype(np.float32)
    return scores_of(make_predictions(np.array(labels, dtype=np.uint8), logits))


def assert_equal(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9, equal_nan=True)


def column(scores, name):
    return [row[name] for row in scores["per_class"]]


against_sklearn = settings(max_examples=100, deadline=None)


@against_sklearn
@given(tables())
def test_subset_accuracy_and_hamming_loss_are_scikit_learns(predictions):
    scores = scores_of(predictions)
    predicted = (predictions.probabilities > 0.5).astype(int)
    assert_equal(scores["subset_accuracy"], sk.accuracy_score(predictions.labels, predicted))
    assert_equal(scores["hamming_loss"], sk.hamming_loss(predictions.labels, predicted))
    assert scores["num_errors"] == sk.zero_one_loss(predictions.labels, predicted, normalize=False)


@against_sklearn
@given(tables())
def test_precision_recall_and_f1_are_scikit_learns(predictions):
    scores = scores_of(predictions)
    predicted = (predictions.probabilities > 0.5).astype(int)
    for average in ("macro", "weighted", "micro", "samples"):
        expected = sk.precision_recall_fscore_support(
            predictions.labels, predicted, average=average, zero_division=np.nan
        )
        assert_equal([scores[name][average] for name in ("precision", "recall", "f1")], expected[:3])
    expected = sk.precision_recall_fscore_support(predictions.labels, predicted, average=None, zero_division=np.nan)
    assert_equal([column(scores, name) for name in ("precision", "recall", "f1", "support")], expected)


@against_sklearn
@given(tables())
def test_auroc_and_average_precision_are_scikit_learns(predictions):
    scores = scores_of(predictions)
    pairs = [*zip(predictions.labels.T, predictions.probabilities.T, strict=True)]
    pairs.append((predictions.labels.ravel(), predictions.probabilities.ravel()))
    auroc = [sk.roc_auc_score(own, p) if 0 < own.sum() < len(own) else np.nan for own, p in pairs]
    average_precision = [sk.average_precision_score(own, p) if own.any() else np.nan for own, p in pairs]
    assert_equal([*column(scores, "auroc"), scores["auroc"]["micro"]], auroc)
    assert_equal([*column(scores, "average_precision"), scores["average_precision"]["micro"]], average_precision)


@against_sklearn
@given(tables())
def test_log_loss_and_brier_are_scikit_learns_over_all_single_decisions(predictions):
    scores = scores_of(predictions)
    labels, probabilities = predictions.labels.ravel(), predictions.probabilities.ravel()
    assert_equal(scores["log_loss"], sk.log_loss(labels, probabilities, labels=[0, 1]))
    assert_equal(scores["brier"], sk.brier_score_loss(labels, probabilities, labels=[0, 1]))


@against_sklearn
@given(tables())
def test_sensitivity_specificity_ppv_and_npv_are_rates_of_scikit_learns_table_of_four(predictions):
    scores = scores_of(predictions)
    tables = sk.multilabel_confusion_matrix(predictions.labels, predictions.predicted)
    for index, ((tn, fp), (fn, tp)) in enumerate(tables.astype(float)):
        expected = [
            part / whole if whole else np.nan
            for part, whole in ((tp, tp + fn), (tn, tn + fp), (tp, tp + fp), (tn, tn + fn))
        ]
        assert_equal([column(scores, name)[index] for name in ("sensitivity", "specificity", "ppv", "npv")], expected)


def test_macro_areas_are_scikit_learns_where_all_is_defined():
    random = np.random.default_rng(0)
    labels = (random.random((200, 6)) < 0.3).astype(np.uint8)
    predictions = make_predictions(labels, random.normal(size=(200, 6)).astype(np.float32) + labels)
    scores = scores_of(predictions)
    for average in ("macro", "micro"):
        assert_equal(scores["auroc"][average], sk.roc_auc_score(labels, predictions.probabilities, average=average))
        expected = sk.average_precision_score(labels, predictions.probabilities, average=average)
        assert_equal(scores["average_precision"][average], expected)


def test_a_single_class_is_the_binary_task():
    random = np.random.default_rng(0)
    labels = (random.random((50, 1)) < 0.3).astype(np.uint8)
    predictions = make_predictions(labels, random.normal(size=(50, 1)).astype(np.float32) + labels)
    scores, predicted = scores_of(predictions), predictions.probabilities[:, 0] > 0.5
    assert_equal(scores["f1"]["macro"], sk.f1_score(labels[:, 0], predicted))
    assert_equal(scores["auroc"]["macro"], sk.roc_auc_score(labels[:, 0], predictions.probabilities[:, 0]))


def test_means_leave_out_the_undefined_and_the_notes_say_so():
    scores = decide([[1, 0, 0], [0, 0, 0]], [[True, False, False], [True, False, False]])
    assert math.isnan(column(scores, "recall")[1])
    assert scores["recall"]["macro"] == 1
    assert scores["notes"] == [
        "No image in this set: recall, AUROC and average precision are undefined and excluded from the mean "
        "for 2 classes: class 1, class 2.",
        "Never predicted: precision is undefined and excluded from the mean for 2 classes: class 1, class 2.",
        "Neither in this set nor predicted: F1 is undefined and excluded from the mean "
        "for 2 classes: class 1, class 2.",
        "1 of 2 images have no label: recall is undefined and excluded from the mean over samples.",
    ]


def test_images_without_any_label_are_noted():
    scores = decide([[1, 0], [0, 1], [0, 0]], [[False, False], [False, True], [False, False]])
    assert scores["notes"][-3:] == [
        "1 of 3 images have no label: recall is undefined and excluded from the mean over samples.",
        "2 of 3 images have no predicted label: precision is undefined and excluded from the mean over samples.",
        "1 of 3 images have neither: F1 is undefined and excluded from the mean over samples.",
    ]


def test_metrics_can_be_computed_again_from_the_table_alone(tmp_path):
    random = np.random.default_rng(0)
    labels = (random.random((80, 4)) < 0.4).astype(np.uint8)
    predictions = make_predictions(labels, random.normal(size=(80, 4)).astype(np.float32))
    write_parquet(predictions, tmp_path / "p.parquet")
    assert scores_of(read_parquet(tmp_path / "p.parquet")) == scores_of(predictions)
