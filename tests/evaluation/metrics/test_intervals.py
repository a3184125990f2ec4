"""Intervals of all scores of a table: their structure, their designs, and what is undefined."""

import numpy as np
import pytest
from scipy.stats import binomtest

from imgrec.evaluation.metrics.compute import compute_metrics
from imgrec.evaluation.predictions.predictions import Predictions


def make_predictions(num_samples=120, num_classes=3, *, seed=0, **changes):
    random = np.random.default_rng(seed)
    labels = random.integers(0, num_classes, num_samples)
    logits = random.normal(size=(num_samples, num_classes)).astype(np.float32)
    logits[np.arange(num_samples), labels] += 1.5
    columns = {
        "names": [str(i) for i in range(num_samples)],
        "labels": labels,
        "logits": logits,
        "class_names": [f"class {k}" for k in range(num_classes)],
    }
    return Predictions(**{**columns, **changes})


def make_multilabel(num_samples=120, **changes):
    random = np.random.default_rng(1)
    labels = (random.random((num_samples, 3)) < 0.4).astype(np.uint8)
    logits = (random.normal(size=labels.shape) + 2.0 * labels - 1).astype(np.float32)
    return make_predictions(num_samples, labels=labels, logits=logits, task="multilabel", **changes)


def by_patient(count, rows=120):
    return [f"patient {i % count}" for i in range(rows)]


def pairs_of(scores, intervals):
    """Every score beside its interval."""
    for name, value in scores.items():
        if name in ("intervals", "interval_method", "confusion_matrix", "class_names", "notes"):
            continue
        if isinstance(value, float):
            yield name, value, intervals[name]
        elif isinstance(value, dict):
            yield from ((f"{name}.{kind}", number, intervals[name][kind]) for kind, number in value.items())
        elif name == "per_class":
            for row, ends in zip(value, intervals[name], strict=True):
                yield from ((f"{name}.{kind}", row[kind], ends[kind]) for kind in ends if kind != "class")


CASES = {
    "single": make_predictions(),
    "two classes": make_predictions(num_classes=2),
    "several labels": make_multilabel(),
    "groups": make_predictions(groups=by_patient(30)),
    "several labels, groups": make_multilabel(groups=by_patient(30)),
    "perfect": make_predictions(logits=8 * np.eye(3, dtype=np.float32)[make_predictions().labels]),
}


@pytest.mark.parametrize("case", CASES)
def test_every_score_has_an_interval_around_it(case):
    scores = compute_metrics(CASES[case])
    found = list(pairs_of(scores, scores["intervals"]))
    assert len(found) > 20
    for name, value, ends in found:
        if case == "perfect" and name in ("log_loss", "brier"):  # the same for every image: no resample differs
            assert ends is None
            continue
        assert ends is not None, name
        assert ends[0] <= value + 1e-12 and value - 1e-12 <= ends[1], (name, value, ends)


def test_what_is_counted_image_by_image_has_wilsons_interval():
    scores = compute_metrics(make_predictions())
    hits = scores["num_samples"] - scores["num_errors"]
    expected = binomtest(hits, scores["num_samples"]).proportion_ci(method="wilson")
    ends = scores["intervals"]
    assert ends["accuracy"] == pytest.approx([expected.low, expected.high])
    assert ends["accuracy"] == ends["precision"]["micro"] == ends["f1"]["micro"]
    for index, row in enumerate(scores["confusion_matrix"]):
        recall = binomtest(row[index], sum(row)).proportion_ci(method="wilson")
        assert ends["per_class"][index]["recall"] == pytest.approx([recall.low, recall.high])


def test_a_perfect_score_is_not_certain():
    scores = compute_metrics(CASES["perfect"])
    for name in ("f1", "auroc", "average_precision"):
        low, high = scores["intervals"][name]["macro"]
        assert 0.8 < low < 0.995 and high == 1
    assert scores["intervals"]["cohen_kappa"][0] < 0.99


def test_a_loss_of_exactly_nothing_has_no_interval():
    logits = 800 * np.eye(3, dtype=np.float32)[make_predictions().labels]
    assert compute_metrics(make_predictions(logits=logits))["intervals"]["brier"] is None


def test_the_interval_of_the_mean_over_classes_grows_where_a_class_is_small():
    labels = np.array([0] * 116 + [1] * 4)
    logits = 20 * np.eye(2, dtype=np.float32)[labels]
    small = compute_metrics(make_predictions(num_classes=2, labels=labels, logits=logits))["intervals"]["f1"]["macro"]
    assert small[0] < compute_metrics(CASES["perfect"])["intervals"]["f1"]["macro"][0]


def test_the_method_is_told():
    assert compute_metrics(make_predictions(), resamples=200, seed=3)["interval_method"] == {
        "level": 0.95,
        "kind": "stratified by class",
        "unit": "image",
        "num_units": 120,
        "reason": "Images are independent; the number of images per class is kept.",
        "resamples": 200,
        "seed": 3,
    }
    assert compute_metrics(make_multilabel())["interval_method"]["kind"] == "rows"


def test_the_same_seed_gives_the_same_intervals_and_another_one_others():
    first, again, other = (compute_metrics(make_predictions(), seed=seed)["intervals"] for seed in (0, 0, 1))
    assert first == again
    assert first["f1"] != other["f1"]
    assert first["f1"]["macro"] == pytest.approx(other["f1"]["macro"], abs=0.02)


def test_images_of_a_group_that_are_alike_widen_the_interval():
    base = make_predictions(40)
    tenfold = {
        "names": [str(i) for i in range(400)],
        "labels": np.repeat(base.labels, 10),
        "logits": np.repeat(base.logits, 10, axis=0),
    }
    alone = compute_metrics(base)["intervals"]
    copies = compute_metrics(make_predictions(400, **tenfold))["intervals"]
    grouped = compute_metrics(make_predictions(400, **tenfold, groups=[str(i // 10) for i in range(400)]))
    width = {name: np.diff(ends["accuracy"])[0] for name, ends in (("alone", alone), ("copies", copies))}
    assert width["copies"] < 0.5 * width["alone"]
    assert np.diff(grouped["intervals"]["accuracy"])[0] == pytest.approx(width["alone"], rel=0.15)
    assert grouped["interval_method"]["unit"] == "group"
    assert grouped["interval_method"]["num_units"] == 40


def test_few_groups_are_warned_of():
    scores = compute_metrics(make_predictions(groups=by_patient(5)))
    assert scores["notes"] == ["Only 5 groups: the intervals are unreliable; 10 or more are needed."]
    assert scores["intervals"]["accuracy"] is not None


@pytest.mark.parametrize("make", [make_predictions, make_multilabel])
def test_one_group_has_scores_and_no_intervals(make):
    scores = compute_metrics(make(groups=["a"] * 120))
    assert {ends for _, _, ends in pairs_of(scores, scores["intervals"])} == {None}
    assert scores["notes"][-1] == (
        "All images are from one group: the variance between groups is unknown, so there are no intervals."
    )
    assert scores["f1"]["macro"] > 0


def test_what_is_undefined_has_no_interval():
    scores = compute_metrics(make_predictions(labels=np.zeros(120, dtype=np.int64)))
    ends = scores["intervals"]
    assert ends["auroc"] == {"macro": None} and ends["matthews"] is None
    assert ends["per_class"][1]["recall"] is None and ends["per_class"][0]["auroc"] is None
    assert ends["accuracy"] is not None and ends["per_class"][0]["recall"] is not None


def test_a_class_that_is_never_predicted_has_no_interval_of_its_precision():
    logits = make_predictions().logits - np.array([0, 0, 50], dtype=np.float32)
    ends = compute_metrics(make_predictions(logits=logits))["intervals"]["per_class"][2]
    assert ends["precision"] is None
    assert ends["f1"][0] == 0 < ends["f1"][1] < 0.2


def test_a_single_image_has_an_interval_of_its_accuracy_alone():
    scores = compute_metrics(make_predictions(1))
    assert scores["intervals"]["accuracy"] == pytest.approx([0, 0.7935], abs=1e-3) or scores["accuracy"] == 1


def test_intervals_shrink_with_the_root_of_the_number_of_images():
    few, many = (compute_metrics(make_predictions(count, seed=7))["intervals"] for count in (400, 6400))
    for score in ("f1", "auroc"):
        ratio = np.diff(few[score]["macro"])[0] / np.diff(many[score]["macro"])[0]
        assert 3.2 < ratio < 4.8
