"""imgrec.data.splits.split: each class in every split, each group in only one, the same for the same seed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold, StratifiedKFold, StratifiedShuffleSplit

from imgrec.data.splits.split import fold_numbers, split_indices
from imgrec.errors import DataError

THREE = {"train": 0.8, "val": 0.1, "test": 0.1}


def counts(labels, indices, num_classes):
    return np.bincount(np.asarray(labels)[indices], minlength=num_classes)


@pytest.fixture(scope="module")
def skewed():
    """Five classes of 400, 90, 37, 11 and 3 samples, mixed."""
    labels = np.repeat(np.arange(5), [400, 90, 37, 11, 3])
    return np.random.default_rng(0).permutation(labels)


@pytest.fixture(scope="module")
def patients():
    """60 patients with 1 to 30 images each; a patient's images are mostly of one class."""
    rng = np.random.default_rng(1)
    labels, groups = [], []
    for patient, size in enumerate(rng.integers(1, 31, 60)):
        labels += list((rng.random(size) < rng.beta(0.3, 0.5)).astype(int))
        groups += [f"patient {patient}"] * size
    return np.array(labels), groups


# One label per sample


@settings(max_examples=60, deadline=None)
@given(
    labels=st.lists(st.integers(0, 4), min_size=30, max_size=120),
    val=st.floats(0.05, 0.3),
    test=st.floats(0.05, 0.3),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_sample_is_in_exactly_one_split(labels, val, test, seed):
    fractions = {"train": 1 - val - test, "val": val, "test": test}
    split = split_indices(np.array(labels), fractions=fractions, seed=seed)
    assert sorted(np.concatenate(list(split.values()))) == list(range(len(labels)))


def test_indices_inside_a_split_are_sorted(skewed):
    for indices in split_indices(skewed, seed=3).values():
        assert indices.dtype == np.int64
        assert np.all(np.diff(indices) > 0)


def test_the_same_seed_gives_the_same_split(skewed):
    first, second = (split_indices(skewed, seed=5) for _ in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_another_seed_gives_another_split(skewed):
    assert not np.array_equal(split_indices(skewed, seed=5)["test"], split_indices(skewed, seed=6)["test"])


def test_a_split_stays_the_same_for_ever():
    split = split_indices(np.arange(12) % 2, fractions={"train": 0.5, "test": 0.5}, seed=1)
    assert split["test"].tolist() == [1, 3, 6, 8, 10, 11]


def test_each_class_has_its_exact_share_to_within_one_sample(skewed):
    split = split_indices(skewed, fractions=THREE, seed=0)
    for name, fraction in THREE.items():
        exact = fraction * np.bincount(skewed)
        off = np.abs(counts(skewed, split[name], 5) - exact)
        assert np.all(off[:4] < 1)  # the fifth class, of 3, is bound by "at least one in each split"


def test_class_shares_equal_those_of_scikit_learn(skewed):
    reference = StratifiedShuffleSplit(n_splits=1, test_size=0.2, random_state=0)
    ((train, test),) = reference.split(np.zeros(len(skewed)), skewed)
    ours = split_indices(skewed, fractions={"train": 0.8, "test": 0.2}, seed=0)
    for mine, theirs in ((ours["train"], train), (ours["test"], test)):
        assert np.abs(counts(skewed, mine, 5) - counts(skewed, theirs, 5)).max() <= 1
        assert abs(len(mine) - len(theirs)) <= 1


def test_rounding_does_not_add_up_over_equal_classes():
    """16 samples in each of 100 classes: 1.6 for val, which the nearest number alone would make 2 in every class."""
    split = split_indices(np.repeat(np.arange(100), 16), fractions={"train": 0.7, "val": 0.1, "test": 0.2}, seed=0)
    assert {name: len(indices) for name, indices in split.items()} == {"train": 1120, "val": 160, "test": 320}


def test_a_class_with_as_many_samples_as_splits_is_in_every_split(skewed):
    for seed in range(20):
        split = split_indices(skewed, fractions={"train": 0.98, "val": 0.01, "test": 0.01}, seed=seed)
        assert all(np.all(counts(skewed, indices, 5) >= 1) for indices in split.values())


@pytest.mark.parametrize("size", [1, 2])
def test_a_class_with_fewer_samples_than_splits_is_in_train(size):
    labels = np.concatenate([np.zeros(50, int), *[np.full(size, c) for c in range(1, 12)]])
    train = split_indices(labels, seed=0)["train"]
    assert np.all(counts(labels, train, 12) >= 1)


def test_what_the_fractions_leave_over_is_in_no_split(skewed):
    split = split_indices(skewed, fractions={"train": 0.5, "test": 0.2}, seed=0)
    assert abs(len(split["train"]) - 0.5 * len(skewed)) <= 1
    assert abs(len(split["test"]) - 0.2 * len(skewed)) <= 1


def test_a_fraction_of_zero_is_an_empty_split(skewed):
    split = split_indices(skewed, fractions={"train": 0.9, "val": 0.1, "test": 0.0}, seed=0)
    assert len(split["test"]) == 0
    assert len(split["train"]) + len(split["val"]) == len(skewed)


# Several labels per sample


def test_each_label_of_several_has_its_share():
    labels = (np.random.default_rng(0).random((2000, 12)) < np.linspace(0.01, 0.5, 12)).astype(np.uint8)
    split = split_indices(labels, fractions=THREE, seed=0)
    for name, fraction in THREE.items():
        assert abs(len(split[name]) - fraction * 2000) <= 0.01 * 2000
        assert np.abs(labels[split[name]].sum(axis=0) - fraction * labels.sum(axis=0)).max() <= 2


def test_samples_without_any_label_are_split_too():
    labels = np.zeros((100, 3), np.uint8)
    labels[:20, 0] = 1
    split = split_indices(labels, fractions=THREE, seed=0)
    assert sorted(np.concatenate(list(split.values()))) == list(range(100))
    assert [len(split[name]) for name in THREE] == [80, 10, 10]


def test_the_only_sample_of_a_label_is_in_train():
    labels = np.zeros((100, 3), np.uint8)
    labels[:, 0] = 1
    labels[42, 2] = 1
    assert all(42 in split_indices(labels, seed=seed)["train"] for seed in range(10))


# Groups


def test_split_keeps_all_images_of_a_patient_on_one_side(patients):
    labels, groups = patients
    split = split_indices(labels, groups=groups, fractions=THREE, seed=0)
    sides = [{groups[i] for i in indices} for indices in split.values()]
    assert set.union(*sides) == set(groups)
    assert sum(map(len, sides)) == len(set(groups))


def test_groups_are_split_near_the_fractions(patients):
    labels, groups = patients
    for seed in range(5):
        split = split_indices(labels, groups=groups, fractions=THREE, seed=seed)
        for name, fraction in THREE.items():
            assert abs(len(split[name]) / len(labels) - fraction) < 0.01


def test_sizes_stay_near_when_every_class_has_two_groups_only():
    """43 traffic signs with two tracks of 8 frames each: class shares alone would leave val and test empty."""
    groups = [f"track {i // 8}" for i in range(43 * 16)]
    split = split_indices(np.repeat(np.arange(43), 16), groups=groups, fractions=THREE, seed=0)
    assert [len(split[name]) for name in THREE] == [560, 64, 64]


def test_groups_are_balanced_better_than_by_scikit_learn(patients):
    labels, groups = patients

    def errors(tests):
        """Mean distance of the class share, and of the size, from the ones asked for."""
        share = np.mean([abs(labels[test].mean() - labels.mean()) for test in tests])
        return share, np.mean([abs(len(test) / len(labels) - 0.2) for test in tests])

    fractions = {"train": 0.8, "test": 0.2}
    ours = [split_indices(labels, groups=groups, fractions=fractions, seed=seed)["test"] for seed in range(20)]
    folds = [StratifiedGroupKFold(n_splits=5, shuffle=True, random_state=seed) for seed in range(4)]
    theirs = [test for fold in folds for _, test in fold.split(labels, labels, groups)]
    assert np.all(np.array(errors(ours)) < errors(theirs))


def test_several_labels_and_groups_go_together():
    rng = np.random.default_rng(0)
    labels = (rng.random((600, 5)) < 0.3).astype(np.uint8)
    groups = [f"video {i // 6}" for i in range(600)]
    split = split_indices(labels, groups=groups, fractions=THREE, seed=0)
    assert [len(split[name]) for name in THREE] == [480, 60, 60]
    assert not {groups[i] for i in split["train"]} & {groups[i] for i in split["test"]}


def test_a_class_of_one_group_is_in_train():
    labels = np.repeat(np.arange(8), 5)
    groups = [f"site {label}" for label in labels[:20]] + [f"visit {i}" for i in range(20)]
    for seed in range(10):
        train = split_indices(labels, groups=groups, seed=seed)["train"]
        assert np.all(counts(labels, train, 8) >= 1)


def test_as_many_groups_as_splits_fill_every_split():
    split = split_indices(np.zeros(30, int), groups=["a"] * 10 + ["b"] * 10 + ["c"] * 10, seed=0)
    assert [len(indices) for indices in split.values()] == [10, 10, 10]


def test_the_order_of_samples_inside_their_groups_changes_nothing(patients):
    labels, groups = patients
    order = np.random.default_rng(2).permutation(len(labels))
    before = split_indices(labels, groups=groups, seed=0)["test"]
    after = split_indices(labels[order], groups=[groups[i] for i in order], seed=0)["test"]
    assert {groups[i] for i in before} == {groups[order[i]] for i in after}


# Errors


def test_fewer_samples_than_splits_is_an_error():
    with pytest.raises(DataError, match="2 images cannot be divided into 3 splits"):
        split_indices(np.array([0, 1]), seed=0)


def test_fewer_groups_than_splits_is_an_error():
    with pytest.raises(DataError, match="2 groups cannot be divided into 3 splits"):
        split_indices(np.zeros(40, int), groups=["a", "b"] * 20, seed=0)


def test_a_split_that_would_stay_empty_is_an_error():
    with pytest.raises(DataError, match=r"left for val, test.* set the fraction of test to 0 \(training needs val\)"):
        split_indices(np.arange(6), seed=0)
    with pytest.raises(DataError, match=r"left for val: .* Add images\.$"):
        split_indices(np.arange(6), seed=0, fractions={"train": 0.9, "val": 0.1, "test": 0.0})


def test_groups_that_each_hold_a_whole_class_cannot_be_split():
    with pytest.raises(DataError, match="No groups are left for val, test"):
        split_indices(np.repeat(np.arange(3), 5), groups=["a"] * 5 + ["b"] * 5 + ["c"] * 5, seed=0)


@pytest.mark.parametrize("fractions", [{"train": 0.9, "val": 0.2}, {"train": 1.1, "val": -0.1}, {"train": 0, "val": 0}])
def test_fractions_that_make_no_sense_are_an_error(fractions):
    with pytest.raises(DataError, match="sum to"):
        split_indices(np.zeros(100, int), fractions=fractions, seed=0)


# Folds


@settings(max_examples=60, deadline=None)
@given(labels=st.lists(st.integers(0, 6), min_size=7, max_size=90), folds=st.integers(2, 7), seed=st.integers(0, 2**40))
def test_folds_differ_by_one_sample_at_most_in_all_and_in_each_class(labels, folds, seed):
    fold = fold_numbers(np.array(labels), folds=folds, seed=seed)
    sizes = np.bincount(fold, minlength=folds)
    assert sizes.max() - sizes.min() <= 1
    for label in set(labels):
        of_class = np.bincount(fold[np.array(labels) == label], minlength=folds)
        assert of_class.max() - of_class.min() <= 1


def test_folds_hold_as_many_of_each_class_as_those_of_scikit_learn(skewed):
    labels = skewed[skewed < 4]  # scikit-learn warns of classes with fewer samples than folds
    fold = fold_numbers(labels, folds=5, seed=0)
    theirs = StratifiedKFold(5, shuffle=True, random_state=0).split(labels, labels)
    reference = np.sort([counts(labels, test, 4) for _, test in theirs], axis=0)
    assert np.array_equal(np.sort([counts(labels, fold == k, 4) for k in range(5)], axis=0), reference)


def test_rare_classes_are_spread_over_the_folds():
    """Forty classes of one image each: no fold comes before the others."""
    labels = np.concatenate([np.zeros(60, int), np.arange(1, 41)])
    assert np.bincount(fold_numbers(labels, folds=5, seed=0)[60:]).tolist() == [8, 8, 8, 8, 8]


@settings(max_examples=60, deadline=None)
@given(
    groups=st.lists(st.integers(0, 30), min_size=20, max_size=120).filter(lambda groups: len(set(groups)) >= 4),
    folds=st.integers(2, 4),
    seed=st.integers(0, 2**40),
)
def test_folds_never_tear_a_group_and_are_never_empty(groups, folds, seed):
    labels = np.arange(len(groups)) % 3
    fold = fold_numbers(labels, folds=folds, seed=seed, groups=[str(group) for group in groups])
    assert set(fold) == set(range(folds))
    assert all(len(set(fold[np.array(groups) == group])) == 1 for group in groups)


def test_groups_overlap_in_no_two_folds_as_in_scikit_learn(patients):
    labels, groups = patients
    fold = fold_numbers(labels, folds=5, seed=0, groups=groups)
    reference = [test for _, test in GroupKFold(5).split(labels, labels, groups)]
    for parts in (reference, [np.flatnonzero(fold == k) for k in range(5)]):
        assert sum(len({groups[i] for i in part}) for part in parts) == len(set(groups))


def test_folds_of_groups_are_balanced_as_well_as_those_of_scikit_learn(patients):
    labels, groups = patients

    def errors(folds):
        share = np.mean([abs(labels[test].mean() - labels.mean()) for test in folds])
        return share, np.mean([abs(len(test) / len(labels) - 0.2) for test in folds])

    dealt = [fold_numbers(labels, folds=5, seed=seed, groups=groups) for seed in range(8)]
    ours = errors([np.flatnonzero(fold == k) for fold in dealt for k in range(5)])
    makers = [StratifiedGroupKFold(5, shuffle=True, random_state=seed) for seed in range(8)]
    theirs = errors([test for maker in makers for _, test in maker.split(labels, labels, groups)])
    assert np.all(np.array(ours) <= theirs)


def test_two_tracks_of_a_class_come_into_two_folds():
    labels, groups = np.repeat(np.arange(43), 16), [f"track {i // 8}" for i in range(43 * 16)]
    fold = fold_numbers(labels, folds=2, seed=0, groups=groups)
    assert counts(labels, fold == 0, 43).tolist() == [8] * 43


def test_another_seed_gives_other_folds_though_all_groups_differ_in_size():
    groups = [f"patient {size}" for size in range(10, 40) for _ in range(size)]
    labels = np.zeros(len(groups), int)
    first, second = (fold_numbers(labels, folds=3, seed=seed, groups=groups) for seed in (1, 2))
    together = [[sorted({groups[i] for i in np.flatnonzero(fold == k)}) for k in range(3)] for fold in (first, second)]
    assert sorted(together[0]) != sorted(together[1])


def test_folds_of_several_labels_hold_their_share_of_each():
    labels = (np.random.default_rng(0).random((1000, 8)) < np.linspace(0.02, 0.5, 8)).astype(np.uint8)
    fold = fold_numbers(labels, folds=5, seed=0)
    assert all(abs((fold == k).sum() - 200) <= 10 for k in range(5))
    assert all(np.abs(labels[fold == k].sum(axis=0) - labels.sum(axis=0) / 5).max() <= 2 for k in range(5))


def test_folds_stay_the_same_for_ever():
    assert fold_numbers(np.arange(9) % 2, folds=3, seed=1).tolist() == [1, 2, 0, 2, 0, 1, 2, 0, 1]


@pytest.mark.parametrize(("groups", "kind"), [(None, "3 images"), (["a", "a", "b"], "2 groups")])
def test_fewer_samples_or_groups_than_folds_is_an_error(groups, kind):
    with pytest.raises(DataError, match=rf"{kind} cannot be split into 4 folds.* Use at most {kind[0]} folds"):
        fold_numbers(np.zeros(3, int), folds=4, seed=0, groups=groups)


def test_a_smaller_weight_of_sizes_brings_classes_nearer_to_their_shares():
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 30, (20, 8))
    labels = np.repeat(np.arange(20), sizes.sum(axis=1))
    groups = np.repeat([f"{i}" for i in range(160)], sizes.ravel()).tolist()

    def off(weight):
        test = split_indices(labels, seed=0, groups=groups, size_weight=weight)["test"]
        return np.abs(counts(labels, test, 20) / np.bincount(labels) - 0.1).mean()

    assert off(0.25) < off(1.0)
