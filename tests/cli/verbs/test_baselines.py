"""`imgrec baselines`: from the command line to a table of baselines on the images that train would use."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from command import SHORT, command, composed
from imgrec.cli.verbs import baselines
from imgrec.core.config.build import build
from imgrec.errors import CheckpointError, ConfigError, DataError, MissingExtraError, WeightsError
from imgrec.evaluation.predictions.parquet import read_parquet
from imgrec.models import make_backbone
from project import PROJECT

QUICK = ("--features", "color", "--models", "knn")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few trees, and no processes of their own for some tens of images (test_baseline_baselines.py has them)."""
    monkeypatch.setattr("imgrec.studies.baselines.extract._num_workers", lambda _: 0)
    monkeypatch.setattr("imgrec.studies.baselines.models.TREES", 5)
    monkeypatch.setattr("imgrec.studies.baselines.models.ITERATIONS", 5)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for place, name in enumerate(("cat", "dog")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(20):
            image = rng.integers(100 * place, 100 * place + 120, (24, 20, 3), dtype=np.uint8)
            Image.fromarray(image).save(tmp_path / "photos" / name / f"{number % 10}_{number}.png")
    return tmp_path / "photos"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["imgrec baselines", *map(str, arguments)])
    baselines.main()


def written(folder: Path) -> dict:
    return json.loads((folder / "baselines.json").read_text())


@pytest.mark.parametrize(
    "arguments",
    [("seed=3", "data.test_fraction=0.3"), ("data.fold=1", "data.folds=4", r"data.group_pattern='^(\d+)_'")],
)
def test_the_test_images_are_those_that_train_evaluates(arguments, photos, tmp_path, monkeypatch):
    named = ["data=folder", f"data.root={photos}", "preprocess=small", *arguments]
    run(monkeypatch, *named, *QUICK, "--output", tmp_path / "out")
    data = build(composed("train", tmp_path / "run", *named).data)
    content = written(tmp_path / "out")
    table = read_parquet(tmp_path / "out" / "color-knn" / "predictions.parquet")
    assert list(table.names) == list(data.split("test").names)
    assert content["data_fingerprint"] == data.fingerprint()
    assert content["num_train"] == len(data.split("train"))
    assert content["seed"] == data.seed


def test_the_table_the_notes_and_the_place_are_printed(photos, tmp_path, monkeypatch, capsys):
    run(monkeypatch, photos, "preprocess=small", "--output", tmp_path / "out", "--max-train", 10)
    said = capsys.readouterr()
    for row in written(tmp_path / "out")["baselines"]:
        assert row["name"] in said.out
    assert "hog+lbp+color-gradient_boosting" in said.out
    assert f"Written: {tmp_path / 'out' / 'baselines.json'}" in said.out
    assert "s  Features of train: hog, color, lbp ..." in said.err
    assert written(tmp_path / "out")["num_train"] == 10


def test_a_trained_network_is_put_beside_its_baselines(photos, tmp_path, monkeypatch, capsys):
    """And its frozen features make a baseline; run, baselines and report are of the same images."""
    arguments = ("data=folder", f"data.root={photos}", "preprocess=small", "augment=none")
    trained = command(
        "train", *arguments, *SHORT, f"run_dir={tmp_path / 'run'}", "trainer.gpus=0", "data.num_workers=0"
    )
    assert trained.code == 0, trained.err
    best = tmp_path / "run" / "best.ckpt"
    output = ("--output", tmp_path / "out", "--beside", tmp_path / "run")
    run(monkeypatch, *arguments, *QUICK, "--checkpoint", best, *output)
    content = written(tmp_path / "run" / "evaluation")
    assert content == written(tmp_path / "out")
    metrics = json.loads((tmp_path / "run" / "evaluation" / "metrics.json").read_text())
    assert content["network"]["accuracy"] == metrics["accuracy"]
    assert content["network"]["name"] == "small_cnn"
    assert content["network"]["fit_s"] > 0
    assert content["network"]["predict_ms_per_image"] > 0
    assert content["network"]["size_bytes"] > 100_000
    names = [row["name"] for row in content["baselines"]]
    assert "frozen_small_cnn-logistic_regression" in names
    assert "small_cnn" in capsys.readouterr().out
    with pytest.raises(DataError, match="evaluated on other images"):
        run(monkeypatch, *arguments, "seed=9", *QUICK, *output)


def test_beside_a_network_whose_decisions_hold_images_out_baselines_are_scored_on_the_others(
    photos, tmp_path, monkeypatch, capsys
):
    arguments = ("data=folder", f"data.root={photos}", "preprocess=small", "data.test_fraction=0.4")
    quiet = ("trainer.gpus=0", "data.num_workers=0")
    trained = command("train", *arguments, *SHORT, f"run_dir={tmp_path / 'run'}", *quiet)
    assert trained.code == 0, trained.err
    again = (f"checkpoint={tmp_path / 'run' / 'best.ckpt'}", f"run_dir={tmp_path / 'held'}", "decisions=holdout")
    done = command("evaluate", *arguments, *quiet, *again)
    assert done.code == 0, done.err
    run(monkeypatch, *arguments, *QUICK, "--output", tmp_path / "out", "--beside", tmp_path / "held")
    content = written(tmp_path / "out")
    network = read_parquet(tmp_path / "held" / "predictions.parquet")
    assert content["num_test"] == len(network) == 8
    assert read_parquet(tmp_path / "out" / "color-knn" / "predictions.parquet").names == network.names
    assert "its decision rules were fitted on the others" in " ".join(content["notes"])
    assert "its decision rules were fitted on the others" in capsys.readouterr().out


def test_frozen_features_alone_come_from_a_backbone_with_its_weights(photos, tmp_path, monkeypatch):
    network = make_backbone("squeezenet1_1", num_classes=1000)
    torch.save({key.removeprefix("backbone."): v for key, v in network.state_dict().items() if "backbone" in key},
               tmp_path / "net.pth")  # fmt: skip
    arguments = ("--features", "frozen", "--backbone", "squeezenet1_1", "--weights", tmp_path / "net.pth")
    run(monkeypatch, photos, "preprocess=small", *arguments, "--output", tmp_path / "out")
    rows = written(tmp_path / "out")["baselines"]
    assert {row["name"] for row in rows} - {"majority", "stratified"} == {"frozen_squeezenet1_1-logistic_regression"}


def test_without_a_test_split_validation_is_scored(photos, tmp_path, monkeypatch):
    (tmp_path / "whole").mkdir()
    for part in ("train", "val"):
        shutil.copytree(photos, tmp_path / "whole" / part)
    arguments = ("data=folder", f"data.root={tmp_path / 'whole'}", "preprocess=small", "data.leaks=ignore")
    run(monkeypatch, *arguments, *QUICK, "--output", tmp_path / "out")
    assert written(tmp_path / "out")["split"] == "val"


def test_a_broken_training_image_is_left_out_as_in_training(photos, tmp_path, monkeypatch, caplog):
    named = ("data=folder", f"data.root={photos}", "preprocess=small")
    train = build(composed("train", tmp_path / "run", *named).data).split("train")
    Path(train.names[0]).write_bytes(b"nothing")
    run(monkeypatch, *named, "data.max_bad=1", *QUICK, "--output", tmp_path / "out")
    assert written(tmp_path / "out")["num_train"] == len(train) - 1
    assert Path(train.names[0]).name in caplog.text


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("--features", "hug"), ConfigError, "--features has no 'hug'. Did you mean 'hog'"),
        (("--models", "svm"), ConfigError, "--models has no 'svm'"),
        (("--features", ","), ConfigError, "names with commas"),
        (("--features", "frozen"), ConfigError, "add --backbone NAME"),
        (("--features", "hog+frozen", "--checkpoint", "x"), ConfigError, "cannot be joined"),
        (("--backbone", "resnet18"), ConfigError, "goes with --weights"),
        (("--weights", "x.pth"), ConfigError, "goes with --weights"),
        (("--backbone", "a", "--weights", "b", "--checkpoint", "c"), ConfigError, "both name a model"),
        (("--backbone", "resnet81", "--weights", "b.pth"), ConfigError, "no classifier 'resnet81'"),
        (("--backbone", "resnet18", "--weights", "gone.pth"), WeightsError, "gone.pth"),
        (("--checkpoint", "gone.ckpt"), CheckpointError, "gone.ckpt"),
        (("--max-train", "1"), ConfigError, "--max-train 1"),
        (("--max-train", "many"), ConfigError, "invalid int value"),
        (("--beside", "nowhere"), DataError, "holds no predictions.parquet"),
        (("--featuers", "hog"), ConfigError, "imgrec baselines --help"),
        (("preprocess=none",), DataError, "after preprocessing"),
        (("preprocess.size=nine",), ConfigError, "preprocess"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_written(arguments, error, message, photos, tmp_path, monkeypatch):
    Image.new("RGB", (9, 9)).save(photos / "cat" / "small.png")
    with pytest.raises(error) as raised:
        run(monkeypatch, photos, *arguments, "--output", tmp_path / "out")
    assert message in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_without_scikit_image_the_extra_is_named_at_once(photos, monkeypatch):
    monkeypatch.setattr("imgrec.cli.verbs.baselines.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"imgrec\[classic\]"):
        run(monkeypatch, photos)


def test_no_target_is_refused(monkeypatch):
    with pytest.raises(ConfigError, match="Name one folder"):
        run(monkeypatch, *QUICK)


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_and_says_so(tmp_path):
    code = "import sys; from imgrec.cli import main; sys.argv[0] = 'imgrec'; main()"
    arguments = ["baselines", "data=digits", "--output", str(tmp_path / "out")]
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments], cwd=PROJECT, stderr=subprocess.PIPE, text=True, env={**os.environ}
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "hog with" in line:
                break
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 130
    assert "imgrec: stopped; nothing was written." in said
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()
