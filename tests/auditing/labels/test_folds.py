"""Folds for judging labels."""

import numpy as np
import pytest

from imgrec.auditing.labels.folds import judged_rows, make_folds, unite
from made_facts import made_facts


def test_images_hang_together_by_group_or_by_duplicate_and_by_both_in_a_chain():
    number = unite(["a", "a", "b", "", ""], ["1", "2", "2", "3", "4"], count=5)
    assert number[0] == number[1] == number[2]
    assert len(set(number[[0, 3, 4]])) == 3


def test_without_groups_and_duplicates_each_image_is_by_itself():
    assert len(set(unite(None, None, count=7))) == 7


def test_every_fold_has_its_share_of_every_class():
    labels = np.repeat([0, 1, 2], [50, 30, 7])
    fold = make_folds(labels, np.arange(87), folds=5, seed=1)
    for label, number in ((0, 50), (1, 30), (2, 7)):
        counts = np.bincount(fold[labels == label], minlength=5)
        assert counts.sum() == number
        assert np.ptp(counts) <= 1


@pytest.mark.parametrize("seed", range(5))
def test_units_stay_whole_and_folds_are_of_similar_size(seed):
    rng = np.random.default_rng(seed)
    labels, units = rng.integers(0, 3, 300), rng.integers(0, 60, 300)
    fold = make_folds(labels, units, folds=5, seed=seed)
    assert all(len(set(fold[units == unit])) == 1 for unit in np.unique(units))
    assert np.bincount(fold).min() > 40


def test_the_seed_decides_the_folds():
    labels, units = np.arange(100) % 4, np.arange(100)
    first, again, other = (make_folds(labels, units, folds=5, seed=seed) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_classes_with_fewer_units_than_folds_are_not_judged_and_named():
    facts = made_facts(24, label=np.repeat([0, 1, 2], [10, 10, 4]), num_classes=3)
    rows, notes = judged_rows(facts, np.arange(24), folds=5)
    assert rows.tolist() == list(range(20))
    assert notes == ["Labels of class2 are not judged: fewer than 5 images that are not duplicates."]


def test_ten_copies_of_one_image_are_one_unit():
    facts = made_facts(30, label=np.repeat([0, 1, 2], 10), num_classes=3)
    units = np.concatenate([np.arange(20), np.full(10, 99)])
    assert judged_rows(facts, units, folds=5)[0].tolist() == list(range(20))


def test_broken_and_unlabelled_images_are_not_judged():
    label = np.arange(30) % 2
    label[4] = -1
    rows, notes = judged_rows(made_facts(30, label=label, code=["damaged", *[""] * 29]), np.arange(30), folds=5)
    assert rows.tolist() == [row for row in range(30) if row not in (0, 4)]
    assert notes == []


@pytest.mark.parametrize(("label", "number"), [(np.zeros(30, dtype=int), 1), (np.full(30, -1), 0)])
def test_one_class_alone_cannot_be_judged(label, number):
    rows, notes = judged_rows(made_facts(30, label=label), np.arange(30), folds=5)
    assert len(rows) == 0
    assert notes[-1].startswith(f"No label is judged: {number} classes have")
