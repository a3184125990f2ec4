"""imgrec.data.splits.folds: each sample in the test exactly once, whatever order the files are listed in."""

from itertools import chain

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from imgrec.data.images.collections import ArrayImages
from imgrec.data.samples import Note, Samples, Splits
from imgrec.data.sources.arrays import read_arrays
from imgrec.data.splits.folds import apply_folds, deal_folds, deal_once
from imgrec.errors import ConfigError, DataError

TRAIN, VAL, TEST, UNUSED = range(4)


def samples(count=60, groups=None, start=0):
    names = [f"photos/{i % 3}/{i:03d}.png" for i in range(start, start + count)]
    return Samples(names, ArrayImages(np.zeros((count, 2, 2), np.uint8)), np.arange(count) % 3, groups)


def splits(*parts):
    return Splits(["a", "b", "c"], **dict(zip(("train", "val", "test"), parts, strict=False)))


def names(found):
    return [list(getattr(found, part).names) for part in ("train", "val", "test")]


def fold(found, number, **options):
    return apply_folds(found, fold=number, **{"folds": 5, "val_fraction": 0.1, "seed": 1, **options})


CASES = st.fixed_dictionaries(
    {
        "labels": st.lists(st.integers(0, 3), min_size=24, max_size=70),
        "folds": st.integers(2, 5),
        "repeats": st.integers(1, 3),
        "seed": st.integers(0, 2**40),
        "group_size": st.integers(0, 3),
    }
)


@settings(max_examples=50, deadline=None)
@given(CASES)
def test_every_sample_is_in_one_test_fold_of_each_repeat_and_no_group_leaks(case):
    labels, folds, repeats = np.array(case["labels"]), case["folds"], case["repeats"]
    groups = [str(i // case["group_size"]) for i in range(len(labels))] if case["group_size"] else None
    try:
        sides = deal_folds(labels, folds=folds, repeats=repeats, val_fraction=0.1, seed=case["seed"], groups=groups)
    except DataError:  # all groups of the rest are needed in training, which would lack a class without them
        reject()
    assert sides.shape == (len(labels), folds * repeats)
    assert np.all((sides == TEST).reshape(-1, repeats, folds).sum(axis=2) == 1)
    assert set(sides.ravel()) == {TRAIN, VAL, TEST}
    for group in set(groups or ()):
        assert len(np.unique(sides[np.array(groups) == group], axis=0)) == 1
    again = deal_folds(labels, folds=folds, repeats=repeats, val_fraction=0.1, seed=case["seed"], groups=groups)
    assert np.array_equal(sides, again)


def test_repeats_are_dealt_otherwise():
    sides = deal_folds(np.zeros(50, int), folds=5, repeats=2, val_fraction=0, seed=1)
    first, second = np.argmax(sides[:, :5] == TEST, axis=1), np.argmax(sides[:, 5:] == TEST, axis=1)
    assert len(set(zip(first.tolist(), second.tolist(), strict=True))) > 10


def test_validation_is_the_asked_share_of_all_samples_and_of_each_class():
    labels = np.repeat([0, 1], [400, 100])
    sides = deal_folds(labels, folds=5, val_fraction=0.1, seed=1)
    for column in sides.T:
        assert [np.count_nonzero(column[labels == label] == VAL) for label in (0, 1)] == [40, 10]


def test_no_validation_where_its_share_is_zero():
    assert set(deal_folds(np.zeros(20, int), folds=4, val_fraction=0, seed=1).ravel()) == {TRAIN, TEST}


def test_one_fold_alone_is_what_it_is_among_all():
    labels = np.arange(40) % 4
    every = deal_folds(labels, folds=4, val_fraction=0.1, seed=1)
    one = deal_folds(labels, folds=4, val_fraction=0.1, seed=1, only=2)
    assert np.array_equal(one[:, 2], every[:, 2])
    assert set(one[:, [0, 1, 3]].ravel()) == {UNUSED}


@pytest.mark.parametrize("share", [-0.1, 0.8, 1.0])
def test_a_share_that_leaves_nothing_to_train_on_is_an_error(share):
    with pytest.raises(ConfigError, match=r"must be 0 or more and below 0\.8"):
        deal_folds(np.zeros(20, int), folds=5, val_fraction=share, seed=1)


def test_one_division_has_its_shares():
    sides = deal_once(np.arange(100) % 2, fractions={"train": 0.7, "val": 0.1, "test": 0.2}, seed=1)
    assert np.bincount(sides[:, 0]).tolist() == [70, 10, 20]


# Of a data set


def test_the_folds_of_a_data_set_are_its_parts():
    found = [fold(splits(samples()), number) for number in range(5)]
    tests = [name for one in found for name in names(one)[2]]
    assert sorted(tests) == sorted(samples().names)
    for one in found:
        assert sorted(chain(*names(one))) == sorted(samples().names)
        assert [len(part) for part in names(one)] == [42, 6, 12]


def test_splits_that_the_data_come_in_change_nothing():
    whole = samples()
    assert names(fold(splits(whole), 2)) == names(
        fold(splits(whole.subset(range(20)), whole.subset(range(20, 30)), whole.subset(range(30, 60))), 2)
    )


def test_the_order_in_which_files_are_listed_changes_nothing():
    whole = samples(groups=[str(i // 4) for i in range(60)])
    shuffled = whole.subset(np.random.default_rng(0).permutation(60))
    assert names(fold(splits(whole), 3)) == names(fold(splits(shuffled), 3))


def test_groups_of_the_data_stay_together():
    groups = [f"patient {i % 13}" for i in range(60)]
    found = fold(splits(samples(groups=groups)), 0)
    sides = [set(part.groups) for part in (found.train, found.val, found.test)]
    assert sum(map(len, sides)) == 13


def test_another_seed_deals_otherwise():
    assert names(fold(splits(samples()), 0)) != names(fold(splits(samples()), 0, seed=2))


@pytest.mark.parametrize("number", [-1, 5, 1.5, True])
def test_an_unknown_fold_is_an_error_that_lists_them(number):
    with pytest.raises(ConfigError, match=r"folds are counted from 0 to 4\. All of them: -m data\.fold=0,1,2,3,4"):
        fold(splits(samples()), number)


@pytest.mark.parametrize("folds", [1, 0, 2.5])
def test_fewer_than_two_folds_are_an_error(folds):
    with pytest.raises(ConfigError, match=r"data\.folds=.*at least 2 folds"):
        fold(splits(samples()), 0, folds=folds)


def test_too_few_groups_are_an_error():
    with pytest.raises(DataError, match="2 groups cannot be split into 5 folds"):
        fold(splits(samples(groups=["a", "b"] * 30)), 0)


def test_notes_on_an_earlier_split_are_replaced(tmp_path):
    images, labels = np.zeros((40, 4, 4), np.uint8), np.array([0] * 20 + [1] * 20)
    path = tmp_path / "data.npz"
    groups = np.array([f"g{i}" for i in range(40)])
    parts = {"train": range(25), "val": range(20, 30), "test": range(10)}
    arrays = {f"{part}_{key}": array[list(places)] for part, places in parts.items()
              for key, array in (("images", images), ("labels", labels), ("groups", groups))}  # fmt: skip
    np.savez(path, **arrays)
    before = read_arrays(path=str(path))
    assert [note.text.split(":")[0] for note in before.notes] == [
        "No val images of 0",
        "No test images of 1",
        "Groups in both train and val",
        "Groups in both train and test",
    ]
    assert fold(before, 0).notes == ()


def test_a_class_that_is_missing_from_a_split_is_noted_and_other_notes_stay():
    whole = samples()
    rare = Samples(whole.names, whole.images, np.array([2] + [0, 1] * 29 + [0]))
    excluded = Note("excluded", "Excluded 2 entries.")
    found = fold(Splits(["a", "b", "c"], train=rare, notes=(excluded,)), 0)
    assert found.notes[0] == excluded
    assert Note("missing_class", "No val images of c: their metrics there are undefined.") in found.notes
