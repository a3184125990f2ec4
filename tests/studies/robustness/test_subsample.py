"""A sample in which each class keeps its share."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgrec.studies.robustness.subsample import stratified_sample

LABELS = np.random.default_rng(0).choice(4, 1000, p=[0.5, 0.3, 0.19, 0.01])


@given(st.integers(1, 1000), st.integers(0, 5))
def test_each_class_has_its_share_but_for_one_image(num_images, seed):
    chosen = stratified_sample(LABELS, num_images, seed=seed)
    assert len(set(chosen.tolist())) == num_images
    shares = np.bincount(LABELS[chosen], minlength=4) - np.bincount(LABELS) * num_images / 1000
    assert np.abs(shares).max() <= 1 + 1e-9


@pytest.mark.parametrize("num_images", [None, 1000, 5000])
def test_all_are_taken_where_there_are_no_more(num_images):
    assert stratified_sample(LABELS, num_images, seed=1).tolist() == list(range(1000))


def test_the_sample_is_sorted_and_the_seed_decides():
    one, same, other = (stratified_sample(LABELS, 100, seed=seed) for seed in (1, 1, 2))
    assert one.tolist() == sorted(same.tolist())
    assert one.tolist() != other.tolist()


def test_several_labels_are_drawn_without_regard_to_them():
    assert len(set(stratified_sample(np.zeros((50, 3), dtype=np.uint8), 7, seed=1).tolist())) == 7
