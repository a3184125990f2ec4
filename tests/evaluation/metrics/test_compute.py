"""The scores of one label per image, against scikit-learn."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sk

from imgrec.evaluation.metrics.compute import compute_metrics, single_label_metrics
from imgrec.evaluation.predictions.parquet import read_parquet, write_parquet
from imgrec.evaluation.predictions.predictions import Predictions


@st.composite
def tables(draw, least=2, most=6):
    """Draw few images with few different logits: ties, absent and never predicted classes are common."""
    num_classes, num_samples = draw(st.integers(least, most)), draw(st.integers(1, 30))
    present = draw(st.lists(st.integers(0, num_classes - 1), min_size=1, unique=True))
    labels = draw(arrays(np.int64, num_samples, elements=st.sampled_from(present)))
    logits = draw(arrays(np.float32, (num_samples, num_classes), elements=st.sampled_from([-50, -1, 0, 0.5, 2])))
    return make_predictions(labels, logits)


def scores_of(predictions):
    """The scores alone: intervals have tests of their own."""
    return compute_metrics(predictions, resamples=0)


def make_predictions(labels, logits):
    class_names = [f"class {i}" for i in range(logits.shape[1])]
    return Predictions(
        names=[str(i) for i in range(len(labels))], labels=labels, logits=logits, class_names=class_names
    )


def random_predictions(num_samples=400, num_classes=7):
    random = np.random.default_rng(num_classes)
    labels = random.integers(0, num_classes, num_samples)
    logits = random.normal(size=(num_samples, num_classes)).astype(np.float32)
    logits[np.arange(num_samples), labels] += 1
    return make_predictions(labels, logits)


def column(scores, name):
    return [row[name] for row in scores["per_class"]]


def assert_equal(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9, equal_nan=True)


def quietly(function, *arguments, **options):
    """Call scikit-learn without its warnings about what is undefined."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments, **options)


against_sklearn = settings(max_examples=100, deadline=None)


@against_sklearn
@given(tables())
def test_counts_and_accuracy_are_scikit_learns(predictions):
    scores = scores_of(predictions)
    labels, predicted = predictions.labels, predictions.probabilities.argmax(axis=1)
    classes = range(len(predictions.class_names))
    assert_equal(scores["accuracy"], sk.accuracy_score(labels, predicted))
    assert scores["num_errors"] == sk.zero_one_loss(labels, predicted, normalize=False)
    assert scores["confusion_matrix"] == quietly(sk.confusion_matrix, labels, predicted, labels=classes).tolist()


@against_sklearn
@given(tables(least=3, most=8))
def test_top5_is_scikit_learns_ties_included(predictions):
    num_classes = len(predictions.class_names)
    top = {"k": min(5, num_classes), "labels": range(num_classes)}
    expected = quietly(sk.top_k_accuracy_score, predictions.labels, predictions.probabilities, **top)
    assert_equal(scores_of(predictions)["top5"], expected)


@against_sklearn
@given(tables())
def test_precision_recall_and_f1_are_scikit_learns(predictions):
    scores = scores_of(predictions)
    labels, predicted = predictions.labels, predictions.probabilities.argmax(axis=1)
    options = {"labels": range(len(predictions.class_names)), "zero_division": np.nan}
    for average in ("macro", "weighted", "micro"):
        expected = sk.precision_recall_fscore_support(labels, predicted, average=average, **options)
        assert_equal([scores[name][average] for name in ("precision", "recall", "f1")], expected[:3])
    expected = sk.precision_recall_fscore_support(labels, predicted, average=None, **options)
    assert_equal([column(scores, name) for name in ("precision", "recall", "f1", "support")], expected)


@against_sklearn
@given(tables())
def test_auroc_and_average_precision_of_a_class_are_scikit_learns(predictions):
    scores = scores_of(predictions)
    for index, own in enumerate(predictions.probabilities.T):
        is_positive = predictions.labels == index
        auroc = sk.roc_auc_score(is_positive, own) if 0 < is_positive.sum() < len(own) else np.nan
        average_precision = sk.average_precision_score(is_positive, own) if is_positive.any() else np.nan
        assert_equal(column(scores, "auroc")[index], auroc)
        assert_equal(column(scores, "average_precision")[index], average_precision)


@against_sklearn
@given(tables(least=3))
def test_macro_areas_are_the_means_over_the_classes_that_have_them(predictions):
    scores = scores_of(predictions)
    for name in ("auroc", "average_precision"):
        assert_equal(scores[name]["macro"], quietly(np.nanmean, column(scores, name)))


@against_sklearn
@given(tables(most=2))
def test_auroc_of_two_classes_is_that_of_the_second(predictions):
    expected = np.nan
    if len(set(predictions.labels.tolist())) == 2:
        expected = sk.roc_auc_score(predictions.labels, predictions.probabilities[:, 1])
    assert_equal(scores_of(predictions)["auroc"]["macro"], expected)


def test_auroc_of_two_classes_does_not_suffer_where_the_first_is_certain():
    logits = np.array([[50, 0], [45, 0]], dtype=np.float32)  # both give the first class probability 1 exactly
    scores = scores_of(make_predictions(np.array([0, 1]), logits))
    assert (column(scores, "auroc"), scores["auroc"]["macro"]) == ([0.5, 1], 1)


@against_sklearn
@given(tables())
def test_log_loss_is_scikit_learns(predictions):
    classes = range(len(predictions.class_names))
    expected = sk.log_loss(predictions.labels, predictions.probabilities, labels=classes)
    assert_equal(scores_of(predictions)["log_loss"], expected)


@against_sklearn
@given(tables())
def test_brier_is_scikit_learns_summed_over_classes(predictions):
    own = predictions.labels[:, None] == np.arange(len(predictions.class_names))
    expected = np.mean(np.sum((predictions.probabilities - own) ** 2, axis=1))
    assert_equal(scores_of(predictions)["brier"], expected)
    if len(predictions.class_names) > 2:
        theirs = sk.brier_score_loss(
            predictions.labels,
            predictions.probabilities,
            labels=range(len(predictions.class_names)),
            scale_by_half=False,
        )
        assert_equal(expected, theirs)


@against_sklearn
@given(tables())
def test_kappa_matthews_and_balanced_accuracy_are_scikit_learns(predictions):
    scores, labels, predicted = scores_of(predictions), predictions.labels, predictions.predicted
    is_one = len(set(labels)) == 1, len(set(predicted)) == 1
    same = all(is_one) and labels[0] == predicted[0]
    assert_equal(scores["cohen_kappa"], np.nan if same else quietly(sk.cohen_kappa_score, labels, predicted))
    assert_equal(scores["matthews"], np.nan if any(is_one) else sk.matthews_corrcoef(labels, predicted))
    assert_equal(scores["balanced_accuracy"], quietly(sk.balanced_accuracy_score, labels, predicted))


@against_sklearn
@given(tables(most=2))
def test_two_classes_have_specificity_and_predictive_values_each_as_the_positive_one(predictions):
    scores, labels, predicted = scores_of(predictions), predictions.labels, predictions.predicted
    for index in (0, 1):
        (tn, fp), (fn, tp) = sk.confusion_matrix(labels == index, predicted == index, labels=[False, True])
        expected = [
            part / whole if whole else np.nan
            for part, whole in ((tp, tp + fn), (tn, tn + fp), (tp, tp + fp), (tn, tn + fn))
        ]
        assert_equal([column(scores, name)[index] for name in ("sensitivity", "specificity", "ppv", "npv")], expected)


def test_many_classes_have_no_specificity():
    assert "specificity" not in scores_of(random_predictions())["per_class"][0]


def test_matthews_does_not_overflow_over_a_million_images():
    labels = np.arange(1_000_000) % 2
    logits = np.eye(2, dtype=np.float32)[labels]
    assert scores_of(make_predictions(labels, logits))["matthews"] == pytest.approx(1, abs=1e-12)


def test_macro_auroc_is_scikit_learns_one_against_the_rest():
    predictions = random_predictions()
    expected = sk.roc_auc_score(predictions.labels, predictions.probabilities, multi_class="ovr")
    assert_equal(scores_of(predictions)["auroc"]["macro"], expected)


def test_a_single_image_has_scores():
    scores = scores_of(make_predictions(np.array([1]), np.array([[0, 3, 0]], dtype=np.float32)))
    assert (scores["accuracy"], scores["top5"], scores["num_errors"], scores["num_samples"]) == (1, 1, 0, 1)
    assert math.isnan(scores["auroc"]["macro"])


def test_the_order_of_the_images_does_not_matter():
    predictions = random_predictions()
    order = np.random.default_rng(1).permutation(len(predictions))
    shuffled = make_predictions(predictions.labels[order], predictions.logits[order])
    ours, theirs = scores_of(predictions), scores_of(shuffled)
    assert ours.pop("log_loss") == pytest.approx(theirs.pop("log_loss"), abs=1e-12)  # a sum in another order
    assert ours.pop("brier") == pytest.approx(theirs.pop("brier"), abs=1e-12)
    ours.pop("per_class"), theirs.pop("per_class")
    assert_equal(ours.pop("average_precision")["macro"], theirs.pop("average_precision")["macro"])
    assert ours == theirs


def test_metrics_can_be_computed_again_from_the_table_alone(tmp_path):
    predictions = random_predictions()
    write_parquet(predictions, tmp_path / "p.parquet")
    assert scores_of(read_parquet(tmp_path / "p.parquet")) == scores_of(predictions)


def test_metrics_are_plain_numbers():
    def leaves(value):
        children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
        return {type(value)} if children is None else set().union(*map(leaves, children))

    assert leaves(scores_of(random_predictions())) == {int, float, str}


def test_metrics_without_a_table_take_labels_and_probabilities():
    predictions = random_predictions()
    scores = single_label_metrics(predictions.labels, predictions.probabilities, class_names=predictions.class_names)
    assert scores.items() <= scores_of(predictions).items()


def make_scores(labels, predicted, num_classes):
    logits = np.eye(num_classes, dtype=np.float32)[predicted]
    return scores_of(make_predictions(np.array(labels), logits))


def test_a_class_that_is_not_in_the_set_is_undefined_and_noted():
    scores = make_scores([0, 0, 1], [0, 1, 1], 3)
    assert math.isnan(column(scores, "recall")[2])
    assert scores["recall"]["macro"] == 0.75
    excluded = "undefined and excluded from the mean for 1 class: class 2."
    assert scores["notes"] == [
        f"No image in this set: recall, AUROC and average precision are {excluded}",
        f"Never predicted: precision is {excluded}",
        f"Neither in this set nor predicted: F1 is {excluded}",
    ]


def test_a_class_that_is_never_predicted_has_no_precision_and_that_is_noted():
    scores = make_scores([0, 1, 1], [0, 0, 0], 2)
    assert math.isnan(column(scores, "precision")[1])
    assert column(scores, "f1")[1] == 0
    assert scores["notes"] == [
        "Never predicted: precision is undefined and excluded from the mean for 1 class: class 1.",
        "All predictions have the same class: Matthews correlation is undefined.",
    ]


def test_auroc_of_a_set_of_one_class_is_undefined_not_zero_and_noted():
    scores = make_scores([1, 1], [1, 0], 2)
    assert math.isnan(scores["auroc"]["macro"])
    assert (
        "In every image of this set: AUROC is undefined and excluded from the mean for 1 class: class 1."
        in (scores["notes"])
    )


def test_matthews_and_kappa_of_one_class_are_undefined_and_noted():
    scores = make_scores([1, 1], [1, 1], 2)
    assert math.isnan(scores["matthews"]) and math.isnan(scores["cohen_kappa"])
    assert (
        scores["notes"][-1] == "All images have the same class: Matthews correlation and Cohen's kappa are undefined."
    )
    scores = make_scores([0, 1], [1, 1], 2)
    assert math.isnan(scores["matthews"]) and scores["cohen_kappa"] == 0
    assert scores["notes"][-1] == "All predictions have the same class: Matthews correlation is undefined."


def test_a_set_in_which_all_is_defined_has_no_notes():
    assert scores_of(random_predictions())["notes"] == []
