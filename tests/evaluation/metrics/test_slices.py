"""Metrics by slices: against naive loops, scikit-learn, and planted differences."""

import json

import numpy as np
import pytest
from scipy.stats import fisher_exact
from sklearn.metrics import accuracy_score, f1_score

from imgrec.evaluation.metrics.slices import compute_slices, write_slices
from imgrec.evaluation.statistics.multiple import holm
from predicted import make_predictions

N = 2000


def planted(**changes):
    """Return a table in which images of site "b" are often wrong."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, N)
    site = rng.choice(["a", "b", "c"], N, p=[0.7, 0.2, 0.1])
    is_error = rng.random(N) < np.where(site == "b", 0.35, 0.1)
    logits = np.eye(3)[(labels + is_error) % 3] * rng.uniform(1, 4, (N, 1))
    columns = {"meta:site": site.tolist(), "image:brightness": rng.normal(100, 20, N), "image:height": np.full(N, 32.0)}
    return make_predictions(logits, labels, columns=columns, **changes)


def rows_of(found, column):
    return {row["label"]: row for row in found["slices"] if row["column"] == column}


def test_each_slice_has_the_metric_of_its_own_images():
    predictions = planted()
    for label, row in rows_of(compute_slices(predictions), "meta:site").items():
        mine = [i for i in range(N) if predictions.columns["meta:site"][i] == label]
        rest = [i for i in range(N) if predictions.columns["meta:site"][i] != label]
        score = accuracy_score(predictions.labels[mine], predictions.predicted[mine])
        others = accuracy_score(predictions.labels[rest], predictions.predicted[rest])
        assert (row["num_samples"], row["score"], row["rest_score"]) == (len(mine), score, others)
        assert row["difference"] == pytest.approx(score - others)
        right = round(others * len(rest))
        table = [[row["num_correct"], len(mine) - row["num_correct"]], [right, len(rest) - right]]
        assert row["p_value"] == pytest.approx(fisher_exact(table).pvalue)


def test_p_values_are_holms_over_all_slices():
    found = compute_slices(planted())
    adjusted = holm([row["p_value"] for row in found["slices"]])
    assert [row["p_holm"] for row in found["slices"]] == pytest.approx(adjusted.tolist())
    assert found["num_tests"] == len(found["slices"]) == 8


def test_the_worst_slice_comes_first_and_is_called_worse():
    first, *others = compute_slices(planted())["slices"]
    assert (first["column"], first["label"], first["verdict"]) == ("meta:site", "b", "worse")
    assert first["difference_high"] < 0
    assert all(row["verdict"] != "worse" for row in others)


def test_where_there_is_no_difference_none_is_found():
    rng = np.random.default_rng(5)
    false = 0
    for _ in range(20):
        labels = rng.integers(0, 2, 400)
        logits = np.eye(2)[(labels + (rng.random(400) < 0.2)) % 2]
        columns = {f"meta:{name}": rng.choice(list("abc"), 400).tolist() for name in range(5)}
        found = compute_slices(make_predictions(logits, labels, columns=columns))
        false += any(row["verdict"] in ("worse", "better") for row in found["slices"])
    assert false <= 4  # at 5 % a fifth and more of 20 has a chance of 0.3 %


def test_two_slices_that_are_all_of_a_column_are_one_test():
    predictions = planted()
    sides = ["left", "right"] * (N // 2)
    found = compute_slices(make_predictions(predictions.logits, predictions.labels, columns={"meta:side": sides}))
    left, right = found["slices"]
    assert found["num_tests"] == 1
    assert left["p_holm"] == right["p_holm"] == left["p_value"]


def test_a_slice_too_small_to_say_anything_is_called_so():
    predictions = planted()
    site = ["rare"] * 25 + ["often"] * (N - 25)
    found = compute_slices(make_predictions(predictions.logits, predictions.labels, columns={"meta:site": site}))
    row = rows_of(found, "meta:site")["rare"]
    assert row["verdict"] == "too small"
    assert row["detectable_difference"] > 0.1
    assert found["slices"][-1]["verdict"] == "too small"


def test_the_difference_that_can_be_found_is_found_in_four_of_five_sets():
    rng = np.random.default_rng(2)
    sizes = (300, 1700)
    predictions = planted()
    columns = {"meta:part": ["a"] * sizes[0] + ["b"] * sizes[1]}
    found = compute_slices(make_predictions(predictions.logits, predictions.labels, columns=columns))
    share, gap = found["overall"]["score"], rows_of(found, "meta:part")["a"]["detectable_difference"]
    hits = 0
    for _ in range(400):
        right = rng.binomial(sizes[0], share - gap), rng.binomial(sizes[1], share)
        pooled = sum(right) / N
        error = np.sqrt(pooled * (1 - pooled) * (1 / sizes[0] + 1 / sizes[1]))
        hits += abs(right[0] / sizes[0] - right[1] / sizes[1]) / error > 1.96
    assert 0.72 < hits / 400 < 0.88


def test_confidence_has_slices_without_tests():
    found = compute_slices(planted())
    assert [row["column"] for row in found["by_confidence"]] == ["confidence"] * 5
    assert {row["verdict"] for row in found["by_confidence"]} == {None}
    assert sum(row["num_samples"] for row in found["by_confidence"]) == N


def test_groups_are_a_column_and_a_warning():
    predictions = planted()
    found = compute_slices(
        make_predictions(predictions.logits, predictions.labels, groups=["p", "q"] * (N // 2), columns={})
    )
    assert set(rows_of(found, "group")) == {"p", "q"}
    assert any("assume independent images" in note for note in found["notes"])


def test_a_group_for_every_image_is_skipped_with_a_reason():
    predictions = planted()
    groups = [f"patient {i}" for i in range(N)]
    found = compute_slices(make_predictions(predictions.logits, predictions.labels, groups=groups, columns={}))
    assert found["slices"] == []
    assert "none of its 2000 values" in found["left_out"][0]["reason"]


def test_several_labels_have_f1():
    rng = np.random.default_rng(4)
    labels = (rng.random((400, 3)) < 0.4).astype(np.uint8)
    logits = np.where(labels == 1, 1.0, -1.0) + rng.normal(0, 1, labels.shape)
    predictions = make_predictions(logits, labels, task="multilabel", columns={"meta:side": ["a", "b"] * 200})
    found = compute_slices(predictions)
    row = rows_of(found, "meta:side")["a"]
    expected = f1_score(labels[::2], predictions.predicted[::2], average="micro")
    assert (found["score"], row["score"]) == ("micro_f1", pytest.approx(expected))


def test_a_table_without_columns_has_no_slices_but_confidence():
    predictions = planted()
    found = compute_slices(make_predictions(predictions.logits, predictions.labels))
    assert found["slices"] == []
    assert len(found["by_confidence"]) == 5


def test_what_is_written_is_strict_json_of_the_same(tmp_path):
    found = write_slices(planted(), tmp_path / "slices.json")
    text = (tmp_path / "slices.json").read_text()
    assert "NaN" not in text
    assert json.loads(text) == json.loads(json.dumps(found))
    assert json.loads(text)["left_out"] == [{"column": "image:height", "reason": "a single value: 32"}]
