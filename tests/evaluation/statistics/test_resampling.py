"""The weights of resamples: what is drawn, and that their variance is right."""

import numpy as np
import pytest

from imgrec.evaluation.statistics.resampling import CHUNK, cluster_design, simple_design, stratified_design


def weights_of(design, resamples=400, seed=0):
    return np.concatenate(list(design.chunks(resamples, seed=seed)), axis=1)


def test_each_class_keeps_its_number_of_rows_in_every_resample():
    labels = np.array([0] * 7 + [2] * 3 + [5])
    weights = weights_of(stratified_design(labels))
    for label, count in ((0, 7), (2, 3), (5, 1)):
        np.testing.assert_allclose(weights[labels == label].sum(axis=0), count)


def test_a_class_of_one_row_does_not_vary():
    weights = weights_of(stratified_design(np.array([0, 0, 0, 1])))
    assert (weights[3] == 1).all()
    assert weights[0].std() > 0


@pytest.mark.parametrize("count", [2, 5, 50])
def test_the_variance_of_a_mean_is_the_textbook_one_however_few_rows(count):
    values = np.random.default_rng(1).normal(size=count)
    means = values @ weights_of(simple_design(count), resamples=20_000) / count
    assert means.var() == pytest.approx(values.var(ddof=1) / count, rel=0.05)


def test_rows_of_a_group_come_and_go_together():
    groups = ["a", "b", "a", "c", "b", "d"]
    weights = weights_of(cluster_design(groups, np.array([0, 1, 1, 0, 0, 1])))
    np.testing.assert_array_equal(weights[0], weights[2])
    np.testing.assert_array_equal(weights[1], weights[4])
    assert not np.array_equal(weights[0], weights[1])


def test_the_variance_over_groups_is_that_of_their_totals():
    random = np.random.default_rng(0)
    groups = [str(i // 5) for i in range(100)]
    values = random.normal(size=20).repeat(5)
    means = values @ weights_of(cluster_design(groups, None), resamples=20_000) / 100
    assert means.var() == pytest.approx(values[::5].var(ddof=1) / 20, rel=0.05)


def test_groups_of_one_class_each_are_drawn_class_by_class():
    labels = np.array([0, 0, 0, 1, 1, 1])
    design = cluster_design(["a", "a", "b", "c", "d", "d"], labels)
    assert design.kind == "groups, stratified by class"
    assert set(design.stratum.tolist()) == {0, 1}


@pytest.mark.parametrize(
    ("groups", "labels"),
    [
        (["a", "a", "b", "b"], np.array([0, 1, 0, 1])),
        (["a", "a", "b", "c"], np.array([0, 0, 1, 1])),  # class 0 has one group
        (["a", "b"], None),
    ],
)
def test_groups_that_cannot_be_drawn_by_class_are_drawn_at_large(groups, labels):
    design = cluster_design(groups, labels)
    assert design.kind == "groups"
    assert set(design.stratum.tolist()) == {0}


def test_the_seed_decides_and_more_resamples_go_on_where_fewer_ended():
    design = simple_design(30)
    few, many = weights_of(design, CHUNK), weights_of(design, CHUNK + 7)
    np.testing.assert_array_equal(many[:, :CHUNK], few)
    assert many.shape == (30, CHUNK + 7)
    assert not np.array_equal(weights_of(design, CHUNK, seed=1), few)
