"""Files that were written before the modules moved to their rooms still open, and give the numbers they gave."""

import csv
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import imgrec
from imgrec.cli.app import run_verb
from imgrec.evaluation.predictions.parquet import read_parquet
from imgrec.serve.access.keys import find_key, read_keys
from project import PROJECT

BEFORE = PROJECT / "tests" / "fixtures" / "before_layout"
EXPECTED = json.loads((BEFORE / "expected.json").read_text(encoding="utf-8"))
RUN = (
    "data=folder", "data.root=images", "data.val_fraction=0.55", "data.test_fraction=0.2", "data.batch_size=3",
    "data.num_workers=0", "preprocess=small", "preprocess.size=16", "augment=standard", "model=small_cnn",
    "model.channels=[4,4]", "model.hidden=8", "model.dropout=0", "trainer.gpus=0",
)  # fmt: skip


@pytest.fixture(autouse=True)
def inside_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written beside the fixtures; paths inside them are relative to their folder."""
    shutil.copytree(BEFORE, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("file", ["best.ckpt", "run", "model.onnx", "model_image.onnx", "model.pt2"])
def test_a_model_gives_the_probabilities_it_gave(file: str):
    model = imgrec.load(file)
    assert model.class_names == EXPECTED["class_names"]
    expected = EXPECTED["probabilities_with_temperature"]
    for name, prediction in zip(expected, model.predict(list(expected)), strict=True):
        got = [prediction.probabilities[one] for one in model.class_names]
        assert np.allclose(got, expected[name], rtol=0, atol=1e-5), name


def test_the_decision_rules_of_a_bundle_give_the_sets_they_gave():
    expected = EXPECTED["bundle_predictions"]
    for name, prediction in zip(expected, imgrec.load("model.onnx").predict(list(expected)), strict=True):
        sets = {key.removeprefix("set:"): value for key, value in expected[name].items() if key.startswith("set:")}
        assert dict(prediction.prediction_sets) == sets


def test_a_checkpoint_is_evaluated_to_the_metrics_it_had():
    evaluation = imgrec.evaluate("checkpoint=best.ckpt", "trainer.gpus=0", "run_dir=again")
    _assert_close(EXPECTED["evaluation"], evaluation.metrics)


def test_a_stopped_training_resumes_and_ends_where_it_ended():
    arguments = ("mixing=mixup_cutmix", "callbacks=[default,ema]", "trainer.max_epochs=2", "resume=last.ckpt")
    run = imgrec.train(*RUN, *arguments, "run_dir=resumed")
    with (run.folder / "history.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row, expected in zip(rows, EXPECTED["resumed_history"], strict=True):
        assert {key: float(row[key]) for key in expected} == pytest.approx({k: float(v) for k, v in expected.items()})
    _assert_close(EXPECTED["resumed_result"], run.result["metrics"])


def test_a_table_of_predictions_has_the_metrics_of_its_run():
    predictions = read_parquet(Path("predictions.parquet"))
    assert predictions.confusion_matrix().tolist() == EXPECTED["evaluation"]["confusion_matrix"]
    comparison = imgrec.compare("net=run", "knn=baselines/color-knn")
    assert comparison.verdict


@pytest.mark.parametrize("source", ["prepared", "shards"])
def test_a_prepared_folder_and_shards_give_the_predictions_of_their_images(source: str):
    evaluation = imgrec.evaluate(
        "checkpoint=best.ckpt", "trainer.gpus=0", f"data={source}", f"data.root={source}", "data.val_fraction=0.2",
        "data.test_fraction=0.6", f"run_dir=of_{source}",
    )  # fmt: skip
    assert evaluation.metrics["num_samples"] > 15
    assert evaluation.metrics["accuracy"] > 0.4


@pytest.mark.parametrize(("file", "fold"), [("split.json", None), ("folds.json", 0), ("folds.json", 2)])
def test_a_split_file_splits_the_images_as_it_did(file: str, fold: int | None):
    arguments = ["checkpoint=best.ckpt", "trainer.gpus=0", f"data.splits={file}", "run_dir=split"]
    evaluation = imgrec.evaluate(*arguments, *([] if fold is None else [f"data.fold={fold}"]))
    if fold is None:
        expected = {name for name, split in EXPECTED["split"].items() if split == "test"}
    else:
        expected = {name for name, folds in EXPECTED["folds"].items() if fold in folds.get("test", ())}
    assert {path.removeprefix("images/") for path in evaluation.predictions.to_pandas()["path"]} == expected


def test_baselines_made_before_are_compared_with_a_new_evaluation():
    evaluation = imgrec.evaluate("checkpoint=best.ckpt", "trainer.gpus=0", "run_dir=again")
    assert imgrec.compare(f"net={evaluation.folder}", "knn=baselines/color-knn").verdict


def test_an_audit_plan_made_before_is_applied(monkeypatch: pytest.MonkeyPatch):
    arguments = ["audited", "--apply", "audit/plan.csv", "--output", "applied.csv"]
    monkeypatch.setattr(sys, "argv", ["audit.py", *arguments])
    run_verb("audit", arguments)
    assert Path("applied.csv").read_bytes() == Path("clean.csv").read_bytes()


def test_a_key_made_before_opens_the_server():
    Path("keys.json").chmod(0o600)
    secret = Path("key_throwaway.txt").read_text(encoding="utf-8").split()[-1]
    keys = {key.id: key for key in read_keys(Path("keys.json"))}
    assert find_key(keys, secret) is not None
    assert find_key(keys, secret[:-1] + ("a" if secret[-1] != "a" else "b")) is None


def _assert_close(expected: dict[str, Any], got: dict[str, Any]) -> None:
    for name, value in expected.items():
        if isinstance(value, dict):
            _assert_close(value, got[name])
        else:
            assert np.allclose(got[name], value, rtol=0, atol=1e-5), name
