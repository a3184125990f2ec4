"""Differences, their intervals and tests, against formulas and naive loops."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from compared import make_multilabel, make_run, make_table
from imgrec.errors import ConfigError
from imgrec.evaluation.compare import engine
from imgrec.evaluation.compare.align import align
from imgrec.evaluation.compare.engine import compare_runs
from imgrec.evaluation.metrics.compute import compute_metrics, single_label_metrics
from imgrec.evaluation.metrics.intervals import make_design
from imgrec.evaluation.predictions.parquet import write_parquet
from imgrec.evaluation.statistics.paired import paired_shares


def compare(*runs, **options):
    return compare_runs(align(runs), **options)


def difference(pair, metric):
    return next(one for one in pair.differences if one.metric == metric)


A, B, WORSE = (make_table(noise=noise, seed=seed) for noise, seed in ((0.5, 1), (0.5, 2), (1.6, 3)))


def test_a_difference_is_that_of_the_metrics():
    pair = compare(make_run("a", A), make_run("b", WORSE)).pairs[0]
    ours, theirs = (compute_metrics(table, resamples=0) for table in (A, WORSE))
    for score in ("accuracy", "cohen_kappa", "log_loss", "brier"):
        assert difference(pair, score).value == pytest.approx(theirs[score] - ours[score], abs=1e-12)
    assert difference(pair, "f1.macro").value == pytest.approx(theirs["f1"]["macro"] - ours["f1"]["macro"], abs=1e-12)


def test_its_variance_is_that_of_the_same_resamples_scored_one_by_one():
    pair = compare(make_run("a", A), make_run("b", B), resamples=40).pairs[0]
    # Weights are counts times m / (m - 1) within a class; scikit-learn takes such weights.
    from sklearn.metrics import f1_score, log_loss

    weights = next(make_design(A).chunks(40, seed=0))
    draws = {"f1.macro": [], "log_loss": []}
    for column in weights.T:
        f1 = [f1_score(A.labels, table.predicted, average="macro", sample_weight=column) for table in (A, B)]
        loss = [log_loss(A.labels, table.probabilities, sample_weight=column) for table in (A, B)]
        draws["f1.macro"].append(f1[1] - f1[0])
        draws["log_loss"].append(loss[1] - loss[0])
    for score, values in draws.items():
        found = difference(pair, score)
        assert found.variance == pytest.approx(np.var(values, ddof=1), rel=1e-6)
        half = stats.norm.ppf(0.975) * np.std(values, ddof=1)
        assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half), abs=1e-8)


def test_the_interval_of_a_paired_accuracy_is_the_textbook_one():
    pair = compare(make_run("a", A), make_run("b", WORSE), resamples=4000).pairs[0]
    right = [(table.predicted == table.labels).astype(float) for table in (A, WORSE)]
    apart = right[1] - right[0]
    within = sum((A.labels == k).sum() * apart[A.labels == k].var(ddof=1) for k in range(4)) / len(A) ** 2
    assert difference(pair, "accuracy").variance == pytest.approx(within, rel=0.1)


def test_pairing_makes_the_interval_narrower_than_that_of_two_test_sets():
    pair = compare(make_run("a", A), make_run("b", B)).pairs[0]
    ends = [np.diff(compute_metrics(table)["intervals"]["accuracy"])[0] / 2 for table in (A, B)]
    found = difference(pair, "accuracy")
    assert (found.high - found.low) / 2 < 0.8 * np.hypot(*ends)


def test_one_training_each_is_tested_by_mcnemar():
    pair = compare(make_run("a", A), make_run("b", WORSE)).pairs[0]
    right = [table.predicted == table.labels for table in (A, WORSE)]
    gained, lost = int((right[1] & ~right[0]).sum()), int((right[0] & ~right[1]).sum())
    assert (pair.flips.num_gained, pair.flips.num_lost) == (gained, lost)
    expected = stats.binomtest(gained, gained + lost).pvalue - stats.binom.pmf(gained, gained + lost, 0.5)
    assert (pair.test, pair.p) == ("mid-p", pytest.approx(expected, abs=1e-9))
    assert difference(pair, "accuracy").p == pair.p == pair.p_holm


def test_few_discordant_images_get_the_exact_test_and_its_interval():
    near = make_table(noise=0.55, seed=1)
    pair = compare(make_run("a", A), make_run("b", near)).pairs[0]
    assert pair.test == "exact"
    gained, lost = pair.flips.num_gained, pair.flips.num_lost
    found = difference(pair, "accuracy")
    assert (found.low, found.high) == paired_shares(lost, gained, len(A))


def test_several_pairs_are_corrected_by_holm():
    found = compare(make_run("a", A), make_run("b", B), make_run("c", WORSE))
    assert [(pair.a.run.name, pair.b.run.name) for pair in found.pairs] == [("a", "b"), ("a", "c"), ("b", "c")]
    order = sorted(found.pairs, key=lambda pair: pair.p)
    assert order[0].p_holm == pytest.approx(3 * order[0].p)
    assert all(pair.p_holm >= pair.p for pair in found.pairs)


def trainings(noise, seeds):
    return [make_table(noise=noise, seed=seed) for seed in seeds]


def test_the_spread_of_trainings_is_part_of_the_variance():
    a, b = trainings(0.8, range(3)), trainings(1.2, range(10, 14))
    pair = compare(make_run("a", *a), make_run("b", *b)).pairs[0]
    accuracy = [[(table.predicted == table.labels).mean() for table in tables] for tables in (a, b)]
    found = difference(pair, "accuracy")
    assert found.value == pytest.approx(np.mean(accuracy[1]) - np.mean(accuracy[0]))
    seeds = np.var(accuracy[0], ddof=1) / 3 + np.var(accuracy[1], ddof=1) / 4
    assert found.seed_variance == pytest.approx(seeds)
    assert found.variance > found.seed_variance
    assert found.high - found.low > 2 * stats.norm.ppf(0.975) * np.sqrt(found.variance)  # Student's t
    assert pair.test == "bootstrap"


def test_a_lone_training_is_taken_to_vary_as_the_others_do():
    a, b = trainings(0.8, range(3)), trainings(1.2, [10])
    comparison = compare(make_run("a", *a), make_run("b", *b))
    spread = np.var([(table.predicted == table.labels).mean() for table in a], ddof=1)
    assert difference(comparison.pairs[0], "accuracy").seed_variance == pytest.approx(spread / 3 + spread)
    assert "One training only: b." in comparison.notes[0]


def test_runs_of_one_training_are_noted_as_trained_models():
    assert "the trained models are compared" in compare(make_run("a", A), make_run("b", B)).notes[0]


def test_groups_are_drawn_whole_and_mcnemar_is_not_used():
    groups = [f"patient {i % 30}" for i in range(300)]
    a, b = (make_table(noise=noise, groups=groups) for noise in (0.5, 1.6))
    comparison = compare(make_run("a", a), make_run("b", b))
    pair = comparison.pairs[0]
    assert (comparison.unit, comparison.num_units, pair.test) == ("group", 30, "bootstrap")
    found = difference(pair, "accuracy")
    assert (found.high - found.low) / 2 == pytest.approx(stats.t.ppf(0.975, 29) * np.sqrt(found.variance))
    assert pair.p == pytest.approx(2 * stats.t.sf(abs(found.value) / np.sqrt(found.variance), 29))


def test_one_group_tells_nothing_and_that_is_said():
    a, b = (make_table(noise=noise, groups=["x"] * 300) for noise in (0.5, 1.6))
    comparison = compare(make_run("a", a), make_run("b", b))
    assert difference(comparison.pairs[0], "accuracy").low is None
    assert "all images are from one group" in comparison.judge(comparison.pairs[0]).text
    assert any("All images are from one group" in note for note in comparison.notes)


def test_several_labels_are_compared_by_average_precision():
    a, b = make_multilabel(noise=0.3), make_multilabel(noise=2)
    comparison = compare(make_run("a", a), make_run("b", b))
    pair = comparison.pairs[0]
    assert [one.metric for one in pair.differences][:2] == ["average_precision.macro", "auroc.macro"]
    assert pair.test == "bootstrap" and pair.p < 0.01
    assert comparison.judge(pair).better == "a"
    assert len(pair.classes) == 3


def test_gains_and_losses_of_classes_sum_to_those_of_all():
    pair = compare(make_run("a", A), make_run("b", WORSE)).pairs[0]
    assert pair.flips.gained_by_class.sum() == pair.flips.num_gained
    assert pair.flips.lost_by_class.sum() == pair.flips.num_lost
    for index, one in enumerate(pair.classes):
        rows = A.labels == index
        expected = (WORSE.predicted[rows] == index).mean() - (A.predicted[rows] == index).mean()
        assert one.value == pytest.approx(expected)


def test_a_class_without_images_is_undefined_and_noted():
    labels = np.minimum(A.labels, 2)
    a, b = (make_table(labels=labels, logits=table.logits) for table in (A, B))
    comparison = compare(make_run("a", a), make_run("b", b))
    assert np.isnan(comparison.pairs[0].classes[3].value) and comparison.pairs[0].classes[3].low is None
    assert comparison.notes[-1] == "1 of 4 classes have no image; their metrics are undefined."


def test_a_test_set_of_one_class_has_no_auroc_to_compare():
    a, b = (make_table(labels=np.zeros(300, dtype=np.int64), logits=table.logits) for table in (A, B))
    found = difference(compare(make_run("a", a), make_run("b", b)).pairs[0], "auroc.macro")
    assert np.isnan(found.value) and found.low is None and found.p is None


def test_a_run_and_its_copy_do_not_differ():
    comparison = compare(make_run("a", A), make_run("b", make_table(noise=0.5, seed=1)))
    pair = comparison.pairs[0]
    assert pair.p == 1 and pair.flips.rows == []
    low, high = difference(pair, "accuracy").low, difference(pair, "accuracy").high
    assert low == -high < 0  # not certain for other images
    assert difference(pair, "f1.macro").low is None


def test_metrics_of_a_run_of_one_training_have_the_intervals_of_its_evaluation():
    run = compare(make_run("a", A), make_run("b", B)).runs[0]
    metrics = compute_metrics(A)
    assert run.limits["accuracy"] == tuple(metrics["intervals"]["accuracy"])
    assert run.limits["f1.macro"] == tuple(metrics["intervals"]["f1"]["macro"])
    assert (
        run.values["accuracy"] == single_label_metrics(A.labels, A.probabilities, class_names=A.class_names)["accuracy"]
    )


def test_the_interval_of_a_mean_of_trainings_stays_on_the_scale():
    good = [make_table(60, noise=0.01, seed=seed) for seed in (1, 2)]
    nearly = [replace(table, logits=_nearly_correct(table, wrong)) for table, wrong in zip(good, (0, 2), strict=True)]
    found = compare_runs(align([make_run("a", *nearly), make_run("b", *good)]), resamples=200)
    low, high = found.runs[0].limits["accuracy"]
    assert 0 < low < found.runs[0].values["accuracy"] < high == 1
    assert found.runs[0].limits["log_loss"][0] >= 0


def _nearly_correct(table, wrong):
    logits = np.zeros_like(table.logits)
    logits[np.arange(len(logits)), table.labels] = 3
    logits[:wrong] = -logits[:wrong]
    return logits


def test_what_a_training_returned_is_a_run(tmp_path):
    for name, table in (("a", A), ("b", B)):
        (tmp_path / name).mkdir()
        write_parquet(table, tmp_path / name / "predictions.parquet")
    found = engine.compare(SimpleNamespace(folder=tmp_path / "a"), tmp_path / "b")
    assert [run.run.name for run in found.runs] == ["a", "b"]
    assert repr(found) == f"Comparison(runs=['a', 'b'], images={len(A)}: {found.verdict})"


@pytest.mark.parametrize("run", [3, None, ["a", "b"]])
def test_what_is_not_a_run_is_named_by_its_type(run):
    with pytest.raises(ConfigError, match=f"not a value of type {type(run).__name__}"):
        engine.compare("a", run)
