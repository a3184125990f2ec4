"""Numbers of images per class and split, and what is said about them."""

import numpy as np
import pytest

from imgrec.auditing.dataset_checks.statistics import imbalance
from made_facts import made_facts


def labels_of(*counts: int) -> np.ndarray:
    return np.repeat(np.arange(len(counts)), counts)


def said(facts) -> dict[str, str]:
    return {fact.text: fact.severity for fact in imbalance(facts).findings}


def test_counts_are_those_of_each_split_in_the_order_of_the_classes():
    facts = made_facts(6, label=np.array([0, 1, 1, 0, 0, 1]), split=["train"] * 4 + ["test"] * 2)
    assert imbalance(facts).counts == {"train": [2, 2], "test": [1, 1]}


def test_broken_and_unlabelled_images_do_not_count():
    facts = made_facts(4, label=np.array([0, 1, -1, 0]), code=["", "", "", "damaged"])
    found = imbalance(facts)
    assert found.counts == {"train": [1, 1]}
    assert found.unlabelled == 1


def test_equal_classes_are_as_many_effective_ones_and_nothing_is_said():
    found = imbalance(made_facts(80, num_classes=4))
    assert found.effective_classes == pytest.approx(4)
    assert found.ratio == 1
    assert found.findings == []


def test_effective_classes_are_the_exponential_of_the_entropy():
    shares = np.array([0.9, 0.1])
    found = imbalance(made_facts(100, label=labels_of(90, 10)))
    assert found.effective_classes == pytest.approx(np.exp(-(shares * np.log(shares)).sum()))


@pytest.mark.parametrize(("small", "severity"), [(40, None), (33, "info"), (10, "warning")])
def test_a_ratio_of_three_is_noted_and_one_of_ten_warned_of(small, severity):
    facts = made_facts(100 + small, label=labels_of(100, small))
    found = [fact.severity for fact in imbalance(facts).findings]
    assert found == ([] if severity is None else [severity])


def test_the_message_names_both_classes_and_their_numbers():
    text = next(iter(said(made_facts(110, label=labels_of(100, 10)))))
    assert "class0 has 100" in text
    assert "class1 10" in text


def test_a_class_without_images_in_training_is_an_error_and_in_the_test_split_an_info():
    split = ["train"] * 40 + ["test"] * 20
    facts = made_facts(60, label=np.concatenate([labels_of(20, 20), labels_of(20)]), split=split)
    assert said(facts)["No images in test of class1."] == "info"
    facts = made_facts(60, label=np.concatenate([labels_of(40), labels_of(10, 10)]), split=split)
    assert said(facts)["No images in train of class1."] == "error"
    assert imbalance(facts).ratio == 5


def test_one_image_of_a_class_cannot_be_split():
    found = said(made_facts(41, label=labels_of(40, 1), split=["all"] * 41))
    assert found["Only one image of class1: it cannot be split."] == "error"
    assert found["Fewer than 10 images of class1 (1)."] == "warning"


def test_splits_that_differ_in_their_classes_are_told_with_the_shares():
    label = np.concatenate([labels_of(150, 50), labels_of(50, 150)])
    facts = made_facts(400, label=label, split=["train"] * 200 + ["test"] * 200)
    (text,) = said(facts)
    assert "75.0% of train, 25.0% of test" in text


def test_a_difference_of_the_splits_that_chance_explains_is_not_told():
    rng = np.random.default_rng(0)
    facts = made_facts(2000, label=rng.integers(0, 3, 2000), num_classes=3, split=["train"] * 1500 + ["test"] * 500)
    assert said(facts) == {}


def test_a_difference_of_large_splits_that_is_too_small_to_matter_is_not_told():
    label = np.concatenate([labels_of(26_000, 24_000), labels_of(25_000, 25_000)])
    assert said(made_facts(100_000, label=label, split=["train"] * 50_000 + ["test"] * 50_000)) == {}


def test_a_large_difference_of_few_images_is_not_told():
    label = np.concatenate([labels_of(24, 16), labels_of(8, 12)])
    assert said(made_facts(60, label=label, split=["train"] * 40 + ["test"] * 20)) == {}


def test_data_without_labels_have_nothing_to_compare():
    found = imbalance(made_facts(10, label=np.full(10, -1)))
    assert (found.ratio, found.findings, found.unlabelled) == (1.0, [], 10)


def test_no_images_at_all_are_no_error():
    assert imbalance(made_facts(0)).counts == {}
