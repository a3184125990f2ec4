"""When two models agree: labels, ties, probabilities, and how much accuracy is lost, with its interval."""

import numpy as np
import pytest

from imgrec.deploy.export.parity import TOLERANCE, compare, labels_of, measure_drop, refuse_untrained
from imgrec.errors import ParityError

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(size=(40, 3)).astype(np.float32)
NAMES = [f"{i}.png" for i in range(40)]


def softmax(logits):
    powers = np.exp(np.asarray(logits, dtype=np.float64))
    return powers / powers.sum(1, keepdims=True)


def test_a_model_agrees_with_itself():
    parity = compare(NAMES, LOGITS, LOGITS, task="single")
    assert (parity.images, parity.same_labels, parity.ties, parity.max_probability_difference) == (40, 40, 0, 0.0)
    assert parity.holds


def test_the_largest_difference_is_that_of_the_probabilities_written_naively():
    other = LOGITS + RANDOM.normal(scale=1e-3, size=LOGITS.shape).astype(np.float32)
    parity = compare(NAMES, LOGITS, other, task="single")
    assert parity.max_probability_difference == pytest.approx(np.abs(softmax(LOGITS) - softmax(other)).max(), rel=1e-9)
    assert not parity.holds


def test_one_other_label_is_no_parity_and_its_image_is_named():
    other = LOGITS.copy()
    other[7] = np.roll(other[7], 1)
    parity = compare(NAMES, LOGITS, other, task="single")
    assert (parity.same_labels, list(parity.different), parity.holds) == (39, ["7.png"], False)


def test_a_small_difference_in_probability_is_parity_and_a_larger_one_is_not():
    first = np.log([[0.7, 0.3], [0.2, 0.8]])
    within, beyond = (np.log([[0.7 - d, 0.3 + d], [0.2, 0.8]]) for d in (0.9 * TOLERANCE, 1.1 * TOLERANCE))
    assert compare(["a", "b"], first, within, task="single").holds
    assert not compare(["a", "b"], first, beyond, task="single").holds


def test_a_near_tie_of_the_first_model_accepts_either_label():
    first = np.log([[0.50002, 0.49998], [0.9, 0.1]])
    second = np.log([[0.49998, 0.50002], [0.9, 0.1]])
    parity = compare(["a", "b"], first, second, task="single")
    assert (parity.same_labels, parity.ties, list(parity.different), parity.holds) == (1, 1, [], True)


def test_a_tie_with_a_third_class_excuses_nothing():
    first = np.log([[0.45, 0.45, 0.10], [0.9, 0.05, 0.05]])
    second = np.log([[0.30, 0.30, 0.40], [0.9, 0.05, 0.05]])
    parity = compare(["a", "b"], first, second, task="single")
    assert (parity.ties, list(parity.different)) == (0, ["a"])


def test_of_equal_probabilities_the_first_class_is_the_label():
    assert labels_of(np.array([[0.5, 0.5]]), task="single").tolist() == [[0]]


def test_with_several_labels_all_of_them_have_to_be_the_same():
    first = np.array([[3.0, -3.0, 1e-5], [3.0, 3.0, -3.0]])
    second = np.array([[3.0, -3.0, -1e-5], [3.0, -3.0, -3.0]])
    parity = compare(["a", "b"], first, second, task="multilabel")
    assert (parity.same_labels, parity.ties, list(parity.different)) == (0, 1, ["b"])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused_by_side_and_image(value):
    bad = LOGITS.copy()
    bad[3, 1] = value
    with pytest.raises(ParityError, match=r"The export gives NaN or infinity for 3\.png"):
        compare(NAMES, LOGITS, bad, task="single")
    with pytest.raises(ParityError, match=r"The checkpoint gives NaN"):
        compare(NAMES, bad, LOGITS, task="single")


@pytest.mark.parametrize("logits", [np.zeros((5, 3)), np.tile([1.0, 2.0, 3.0], (5, 1)), 1e-9 * LOGITS[:5]])
def test_a_network_with_constant_outputs_is_refused(logits):
    with pytest.raises(ParityError, match=r"the same outputs for all 5 images.*not trained"):
        refuse_untrained(logits, task="single")


def test_one_image_proves_nothing():
    with pytest.raises(ParityError, match="One image"):
        refuse_untrained(LOGITS[:1], task="single")


def test_a_network_that_tells_images_apart_is_let_through():
    refuse_untrained(LOGITS, task="single")


def one_hot(labels, num_classes=3):
    return 5.0 * np.eye(num_classes)[np.asarray(labels)]


def test_a_drop_is_the_difference_of_the_accuracies_in_points():
    labels = np.arange(40) % 3
    before, after = labels.copy(), labels.copy()
    before[:4] = (labels[:4] + 1) % 3  # 36 correct
    after[2:10] = (labels[2:10] + 1) % 3  # 32 correct: 6 lost, 2 won
    drop = measure_drop(one_hot(before), one_hot(after), labels=labels, task="single")
    assert (drop.before, drop.after, drop.points, drop.measured) == (90.0, 80.0, pytest.approx(10.0), "accuracy")


def test_the_interval_is_that_of_bonett_and_price():
    """By hand for 6 lost, 2 won of 40: p = 7/42 and 3/42, difference 4/42, variance (10/42 - (4/42)^2) / 42."""
    lost, won, n = 6, 2, 40
    first, second = np.zeros(n, int), np.zeros(n, int)
    second[:lost] = 1
    first[lost : lost + won] = 1
    drop = measure_drop(one_hot(first), one_hot(second), labels=np.zeros(n, int), task="single")
    half = 1.959963984540054 * np.sqrt((10 / 42 - (4 / 42) ** 2) / 42)
    assert (drop.low, drop.high) == (pytest.approx(100 * (4 / 42 - half)), pytest.approx(100 * (4 / 42 + half)))


def test_the_interval_has_about_its_nominal_coverage():
    random, n, hits, repeats = np.random.default_rng(1), 153, 0, 600
    for _ in range(repeats):
        kind = random.choice(3, size=n, p=[0.9, 0.06, 0.04])  # same, lost, won: a true drop of 2 points
        first, second = (kind == 2).astype(int), (kind == 1).astype(int)
        drop = measure_drop(one_hot(first), one_hot(second), labels=np.zeros(n, int), task="single")
        hits += drop.low <= 2.0 <= drop.high
    assert 0.93 <= hits / repeats <= 0.98


def test_without_labels_the_drop_counts_changed_predictions():
    drop = measure_drop(one_hot([0, 1, 2, 0]), one_hot([0, 1, 2, 1]), labels=None, task="single")
    assert (drop.measured, drop.before, drop.after, drop.points) == ("labels", 100.0, 75.0, 25.0)


def test_with_several_labels_an_image_is_correct_if_all_labels_are():
    labels = np.array([[1, 0], [1, 1]], dtype=np.uint8)
    drop = measure_drop(8 * (labels - 0.5), np.array([[9.0, 9.0], [9.0, 9.0]]), labels=labels, task="multilabel")
    assert (drop.before, drop.after) == (100.0, 50.0)
