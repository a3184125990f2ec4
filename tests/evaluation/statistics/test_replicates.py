"""Scores of many resamples at once, against scoring each resample by itself."""

import numpy as np
import pytest

from imgrec.evaluation.metrics.compute import multilabel_metrics, single_label_metrics
from imgrec.evaluation.metrics.intervals import flatten
from imgrec.evaluation.metrics.row_metrics import multilabel_rows, single_rows
from imgrec.evaluation.statistics.replicates import multilabel_table, replicate, single_table
from imgrec.evaluation.statistics.resampling import stratified_design

ROWS, RESAMPLES = 40, 12


def single_data(num_classes, seed=0):
    random = np.random.default_rng(seed)
    labels = random.integers(0, num_classes, ROWS)
    logits = np.round(random.normal(size=(ROWS, num_classes)), 1)  # ties
    logits[np.arange(ROWS), labels] += 1
    powers = np.exp(logits)
    return labels, powers / powers.sum(axis=1, keepdims=True)


def multilabel_data(num_classes=4, seed=0):
    random = np.random.default_rng(seed)
    labels = (random.random((ROWS, num_classes)) < 0.3).astype(np.int64)
    return labels, 1 / (1 + np.exp(-np.round(random.normal(size=labels.shape) + 2 * labels - 1, 1)))


def weights_of(seed=0):
    """How often each row is in a resample: some never, so classes go missing."""
    return np.random.default_rng(seed).multinomial(ROWS, np.full(ROWS, 1 / ROWS), size=RESAMPLES).T.astype(float)


def one_by_one(score, labels, probabilities, weights):
    """Score each resample as a table of its own: the naive loop."""
    names = [f"class {k}" for k in range(probabilities.shape[1])]
    for column in weights.T.astype(int):
        rows = np.repeat(np.arange(ROWS), column)
        yield flatten(score(labels[rows], probabilities[rows], class_names=names))


def assert_same(ours, theirs):
    for index, expected in enumerate(theirs):
        assert set(ours) <= set(expected)
        for name, values in ours.items():
            np.testing.assert_allclose(values[..., index], expected[name], rtol=0, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("num_classes", [2, 3, 8])
@pytest.mark.parametrize("seed", range(5))
def test_each_resample_of_one_label_has_the_scores_of_its_rows(num_classes, seed):
    labels, probabilities = single_data(num_classes, seed)
    table = single_table(labels, probabilities, means=single_rows(labels, probabilities))
    weights = weights_of(seed)
    assert_same(table.metrics(weights), one_by_one(single_label_metrics, labels, probabilities, weights))


@pytest.mark.parametrize("num_classes", [1, 4])
@pytest.mark.parametrize("seed", range(5))
def test_each_resample_of_several_labels_has_the_scores_of_its_rows(num_classes, seed):
    labels, probabilities = multilabel_data(num_classes, seed)
    table = multilabel_table(labels, probabilities, means=multilabel_rows(labels, probabilities))
    weights = weights_of(seed)
    assert_same(table.metrics(weights), one_by_one(multilabel_metrics, labels, probabilities, weights))


def test_every_score_with_an_interval_is_replicated():
    labels, probabilities = single_data(3)
    ours = single_table(labels, probabilities, means=single_rows(labels, probabilities)).metrics(np.ones((ROWS, 1)))
    scores = flatten(single_label_metrics(labels, probabilities, class_names=["a", "b", "c"]))
    assert set(scores) - set(ours) == {"per_class.support"}


def test_replicates_follow_from_the_weights_of_the_design_in_their_order():
    labels, probabilities = single_data(3)
    table = single_table(labels, probabilities, means=single_rows(labels, probabilities))
    design = stratified_design(labels)
    found = replicate(table, design, resamples=130, seed=5)
    weights = np.concatenate(list(design.chunks(130, seed=5)), axis=1)
    for name, values in table.metrics(weights).items():
        np.testing.assert_allclose(found[name], values, rtol=0, atol=1e-12)
