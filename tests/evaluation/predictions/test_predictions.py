"""The table of predictions in memory: probabilities, decisions, and what it refuses."""

import numpy as np
import pytest
from scipy.special import expit, softmax

from imgrec.core.text import printable
from imgrec.errors import DataError
from predicted import make_predictions


def test_probabilities_of_one_label_are_the_float64_softmax():
    logits = np.random.default_rng(0).normal(scale=20, size=(50, 7)).astype(np.float32)
    probabilities = make_predictions(logits).probabilities
    assert probabilities.dtype == np.float64
    np.testing.assert_allclose(probabilities, softmax(logits.astype(np.float64), axis=1), rtol=1e-12)


def test_probabilities_of_several_labels_are_the_float64_sigmoid():
    logits = np.random.default_rng(0).normal(scale=20, size=(50, 7)).astype(np.float32)
    predictions = make_predictions(logits, np.zeros((50, 7), dtype=np.uint8), task="multilabel")
    np.testing.assert_allclose(predictions.probabilities, expit(logits.astype(np.float64)), rtol=1e-12)


@pytest.mark.parametrize("task", ["single", "multilabel"])
def test_huge_logits_do_not_overflow(task):
    labels = np.zeros((2, 2), dtype=np.uint8) if task == "multilabel" else None
    probabilities = make_predictions([[3e38, -3e38], [-3e38, 3e38]], labels, task=task).probabilities
    np.testing.assert_array_equal(probabilities, [[1, 0], [0, 1]])


def test_the_predicted_class_is_the_most_probable_and_the_first_of_equals():
    assert make_predictions([[0, 2, 1], [3, 1, 3], [0, 0, 0]]).predicted.tolist() == [1, 0, 0]


def test_a_label_is_predicted_when_it_is_more_likely_than_not():
    labels = np.zeros((1, 3), dtype=np.uint8)
    assert make_predictions([[0.1, 0.0, -0.1]], labels, task="multilabel").predicted.tolist() == [[1, 0, 0]]


def test_no_images_are_refused():
    with pytest.raises(DataError, match="split has no images"):
        make_predictions(np.zeros((0, 2)))


def test_one_class_is_refused_for_one_label():
    with pytest.raises(DataError, match=r"1 classes; there must be 2"):
        make_predictions(np.zeros((3, 1)))


def test_one_class_is_enough_for_several_labels():
    assert len(make_predictions(np.zeros((3, 1)), np.zeros((3, 1), dtype=np.uint8), task="multilabel")) == 3


def test_doubled_class_names_are_named():
    with pytest.raises(DataError, match=r"occur twice: cat\. Give each"):
        make_predictions(np.zeros((1, 3)), class_names=["cat", "dog", "cat"])


@pytest.mark.parametrize("label", [-1, 2])
def test_a_label_outside_the_classes_is_named_with_its_image(label):
    with pytest.raises(DataError, match=rf"1.png has the label {label}; .* between 0 and 1"):
        make_predictions(np.zeros((3, 2)), np.array([0, label, 0]))


def test_multi_hot_labels_are_0_or_1():
    with pytest.raises(DataError, match=r"0.png has the label \[0, 2\]; .* between 0 and 1"):
        make_predictions(np.zeros((1, 2)), np.array([[0, 2]], dtype=np.uint8), task="multilabel")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_are_counted_and_the_first_is_named(value):
    logits = np.zeros((4, 2))
    logits[2:, 1] = value
    with pytest.raises(
        DataError, match=r"2 of 4 images are NaN or infinite, first 2.png\. Use a .* or lower optimizer\.lr"
    ):
        make_predictions(logits)


def test_a_table_is_shown_in_a_line():
    assert repr(make_predictions(np.zeros((999, 2)))) == (
        "Predictions(task='single', images=999, classes=2: class 0, class 1)"
    )


def test_visible_leaves_readable_text_alone():
    assert printable("Ελλάδα 日本 a\\b $x$ <b> 🐱") == "Ελλάδα 日本 a\\b $x$ <b> 🐱"


def test_visible_writes_out_what_would_break_a_line_or_hide():
    assert printable("a\nb\tc\x1b[0m\u202e\udcff\ud800") == r"a\nb\tc\x1b[0m\u202e\xff\ud800"
