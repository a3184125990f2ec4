"""The files that an evaluation leaves."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from imgrec import evaluation as report
from imgrec.errors import RunFolderError
from imgrec.evaluation.metrics.compute import compute_metrics
from imgrec.evaluation.metrics.metric_files import write_evaluation
from imgrec.evaluation.predictions.parquet import read_parquet
from imgrec.evaluation.predictions.predictions import Predictions

AWKWARD = ["=1+1", "+a", "-b", "@c", "日本", 'quo"te, comma', "new\nline", "caf\udce9", "plain"]


def make_predictions(class_names=("ant", "bee", "wasp"), **changes):
    random = np.random.default_rng(0)
    columns = {
        "names": [f"{i}.png" for i in range(40)],
        "labels": random.integers(0, len(class_names), 40),
        "logits": random.normal(size=(40, len(class_names))).astype(np.float32),
        "class_names": list(class_names),
    }
    return Predictions(**{**columns, **changes})


def make_multilabel():
    labels = (np.random.default_rng(1).random((40, 3)) < 0.4).astype(np.uint8)
    return make_predictions(labels=labels, task="multilabel")


def read_json(folder):
    return json.loads((folder / "metrics.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)


def read_csv(folder):
    with (folder / "per_class.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_all_files_are_written_and_no_other(tmp_path):
    write_evaluation(make_predictions(), tmp_path / "new" / "folder")
    names = sorted(file.name for file in (tmp_path / "new" / "folder").iterdir())
    files = ["metrics.json", "per_class.csv", "pr_curves.png", "predictions.parquet", "reliability.png", "slices.json"]
    assert names == ["confusion_matrix.png", *files]


def test_several_labels_have_no_confusion_matrix(tmp_path):
    write_evaluation(make_multilabel(), tmp_path)
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == [
        "metrics.json",
        "per_class.csv",
        "pr_curves.png",
        "predictions.parquet",
        "reliability.png",
        "slices.json",
    ]


@pytest.mark.parametrize("make", [make_predictions, make_multilabel])
def test_the_scores_are_returned_and_written_and_follow_from_the_table(make, tmp_path):
    scores = write_evaluation(make(), tmp_path)
    assert scores == read_json(tmp_path) == compute_metrics(read_parquet(tmp_path / "predictions.parquet"))


def test_the_scores_come_in_an_order_to_read(tmp_path):
    write_evaluation(make_predictions(), tmp_path)
    assert list(read_json(tmp_path)) == [
        *("format", "task", "num_samples", "num_errors", "accuracy", "top5", "balanced_accuracy"),
        *("precision", "recall", "f1", "auroc", "average_precision", "cohen_kappa", "matthews", "log_loss", "brier"),
        *("confusion_matrix", "per_class", "class_names", "notes", "intervals", "interval_method"),
    ]


def test_each_row_of_the_confusion_matrix_is_one_line(tmp_path):
    scores = write_evaluation(make_predictions(), tmp_path)
    lines = (tmp_path / "metrics.json").read_text().splitlines()
    start = lines.index('  "confusion_matrix": [') + 1
    assert [json.loads(line.strip(" ,")) for line in lines[start : start + 3]] == scores["confusion_matrix"]


def test_the_undefined_is_null_in_json_and_empty_in_csv(tmp_path):
    write_evaluation(make_predictions(labels=np.zeros(40, dtype=np.int64)), tmp_path)
    scores = read_json(tmp_path)
    assert scores["auroc"] == {"macro": None}
    assert scores["per_class"][1]["recall"] is None
    assert scores["intervals"]["auroc"] == {"macro": None}
    assert (read_csv(tmp_path)[1]["recall"], read_csv(tmp_path)[1]["recall_low"]) == ("", "")


def test_the_csv_has_the_scores_of_each_class_in_full_with_their_intervals(tmp_path):
    scores = write_evaluation(make_predictions(), tmp_path)
    rows = read_csv(tmp_path)
    names = ["precision", "recall", "f1", "auroc", "average_precision"]
    assert list(rows[0]) == [
        *("class", "support"),
        *(f"{name}{end}" for name in names for end in ("", "_low", "_high")),
    ]
    for row, expected, ends in zip(rows, scores["per_class"], scores["intervals"]["per_class"], strict=True):
        assert (row["class"], int(row["support"])) == (expected["class"], expected["support"])
        for name in names:
            assert float(row[name]) == expected[name]
            assert [float(row[f"{name}_low"]), float(row[f"{name}_high"])] == ends[name]


def test_the_intervals_of_each_class_are_one_line(tmp_path):
    scores = write_evaluation(make_predictions(), tmp_path)
    lines = [line.strip(" ,") for line in (tmp_path / "metrics.json").read_text().splitlines()]
    assert all(json.dumps(row) in lines for row in scores["intervals"]["per_class"])
    assert max(map(len, lines)) < 400


def test_class_names_are_no_formulas_and_stay_on_their_line(tmp_path):
    write_evaluation(make_predictions(AWKWARD), tmp_path)
    expected = ["'=1+1", "'+a", "'-b", "'@c", "日本", 'quo"te, comma', r"new\nline", r"caf\xe9", "plain"]
    assert [row["class"] for row in read_csv(tmp_path)] == expected
    assert len((tmp_path / "per_class.csv").read_text(encoding="utf-8").splitlines()) == 1 + len(AWKWARD)


def test_class_names_are_exact_in_json(tmp_path):
    write_evaluation(make_predictions(AWKWARD), tmp_path)
    assert read_json(tmp_path)["class_names"] == AWKWARD
    assert "日本" in (tmp_path / "metrics.json").read_text(encoding="utf-8")


def test_the_images_open(tmp_path):
    write_evaluation(make_predictions(), tmp_path)
    for name in ("confusion_matrix.png", "pr_curves.png"):
        with Image.open(tmp_path / name) as image:
            assert image.format == "PNG" and min(image.size) > 300


def test_a_second_evaluation_replaces_the_first(tmp_path):
    write_evaluation(make_predictions(), tmp_path)
    scores = write_evaluation(make_predictions(("a", "b")), tmp_path)
    assert read_json(tmp_path) == scores
    assert read_parquet(tmp_path / "predictions.parquet").class_names == ["a", "b"]


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match=r"Cannot write .*predictions\.parquet: Not a directory"):
        write_evaluation(make_predictions(), tmp_path / "file" / "folder")


def test_every_public_name_of_the_package_can_be_had():
    assert all(callable(getattr(report, name)) for name in report.__all__)
    assert report.write_evaluation is write_evaluation


def test_a_name_that_the_package_lacks_is_an_attribute_error():
    with pytest.raises(AttributeError, match="attribute write_all"):
        _ = report.write_all
