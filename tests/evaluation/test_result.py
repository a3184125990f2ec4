"""result.json: written by a run, read by a sweep."""

import json
from pathlib import Path

from imgrec.evaluation.result import Result, headline, of_evaluation, read_result, write_result

METRICS = {
    "format": 1,
    "task": "single",
    "num_samples": 4,
    "num_errors": 1,
    "accuracy": 0.75,
    "log_loss": float("nan"),
    "precision": {"macro": 0.5, "weighted": float("nan")},
    "confusion_matrix": [[1, 0], [1, 2]],
    "per_class": [{"class": "a", "f1": 0.5}],
    "class_names": ["a", "b"],
    "notes": ["x"],
    "intervals": {"accuracy": [0.5, 0.9], "per_class": [{"class": "a", "f1": None}]},
    "interval_method": {"level": 0.95, "seed": 0, "kind": "rows"},
}


def test_the_headline_is_what_is_a_number_averages_by_their_names():
    assert headline(METRICS) == {"num_samples": 4, "num_errors": 1, "accuracy": 0.75, "precision_macro": 0.5}


def test_an_evaluation_is_ranked_by_accuracy():
    result = of_evaluation(METRICS, split="val", source="best.ckpt")
    assert (result["score"], result["monitor"], result["mode"]) == (0.75, "val/accuracy", "max")
    assert (result["split"], result["checkpoint"], result["epoch"]) == ("val", "best.ckpt", None)


def test_an_evaluation_of_several_labels_is_ranked_by_average_precision():
    metrics = {"subset_accuracy": 0.2, "average_precision": {"macro": 0.6, "micro": 0.7}}
    result = of_evaluation(metrics, split="test", source="best.ckpt")
    assert (result["score"], result["monitor"]) == (0.6, "test/average_precision_macro")


def test_an_undefined_score_is_none():
    result = of_evaluation({"average_precision": {"macro": float("nan")}}, split="test", source="x")
    assert result["score"] is None


def test_the_file_is_what_a_sweep_reads(tmp_path: Path):
    result: Result = of_evaluation(METRICS, split="val", source="best.ckpt")
    write_result(result, tmp_path)
    assert json.loads((tmp_path / "result.json").read_text()) == result
    read = read_result(tmp_path)
    assert read is not None
    assert (read.value, read.monitor, read.mode, read.metrics) == (0.75, "val/accuracy", "max", headline(METRICS))
