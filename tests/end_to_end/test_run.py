"""The two jobs: train leaves what a user looks for, evaluate says the same of it."""

import csv
import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the name that every reader of PyTorch expects
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy

from command import SHORT, command, composed
from imgrec.core.checkpoint.checkpoint import load_checkpoint
from imgrec.errors import CheckpointError, RunFolderError
from imgrec.evaluate_job import run_evaluation
from imgrec.evaluation.result import headline
from imgrec.train_job import run_training

Trained = tuple[Path, Any]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """An epoch on the digits, and what `train` returned."""
    folder = tmp_path_factory.mktemp("digits") / "run"
    return folder, run_training(composed("train", folder, "trainer.max_epochs=1", "trainer.gpus=0", "seed=3"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder: Path, name: str) -> dict[str, Any]:
    return json.loads((folder / f"{name}.json").read_text())


def metrics(folder: Path) -> dict[str, Any]:
    return contents(folder, "metrics")


def test_a_run_leaves_checkpoints_history_curves_and_an_evaluation(trained: Trained) -> None:
    folder, _ = trained
    names = {path.name for path in folder.iterdir()}
    assert {"best.ckpt", "last.ckpt", "history.csv", "result.json", "tensorboard", "evaluation"} <= names
    assert {
        "predictions.parquet", "metrics.json", "per_class.csv", "confusion_matrix.png", "pr_curves.png",
        "calibration.json", "decisions.json", "reliability.png", "slices.json", "thumbnails.parquet",
        "provenance.json", "report.html",
    } == {path.name for path in (folder / "evaluation").iterdir()}  # fmt: skip


def test_the_result_is_the_best_epoch_of_the_history_and_the_metrics_of_the_evaluation(trained: Trained) -> None:
    folder, returned = trained
    result = json.loads((folder / "result.json").read_text())
    with (folder / "history.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert result == returned
    assert (result["monitor"], result["mode"], result["epoch"], result["split"]) == ("val/accuracy", "max", 0, "test")
    assert result["score"] == float(row["val/accuracy"])
    assert result["metrics"] == headline(metrics(folder / "evaluation"))
    assert result["checkpoint"] == str(folder / "best.ckpt")


def test_the_checkpoint_carries_what_is_needed_to_use_it(trained: Trained) -> None:
    record = load_checkpoint(trained[0] / "best.ckpt")["imgrec"]
    assert record["class_names"] == [str(digit) for digit in range(10)]
    assert record["config"]["model"]["_target_"] == "imgrec.models.make_small_cnn"
    assert (record["task"], record["seed"], record["batch_size"], record["world_size"]) == ("single", 3, 64, 1)


def test_evaluating_the_best_checkpoint_says_the_same(trained: Trained, tmp_path: Path) -> None:
    run, _ = trained
    run_evaluation(composed("evaluate", tmp_path, f"checkpoint='{run}/best.ckpt'", "trainer.gpus=0"))
    assert (tmp_path / "metrics.json").read_bytes() == (run / "evaluation" / "metrics.json").read_bytes()
    assert (tmp_path / "per_class.csv").read_bytes() == (run / "evaluation" / "per_class.csv").read_bytes()
    assert (tmp_path / "calibration.json").read_bytes() == (run / "evaluation" / "calibration.json").read_bytes()
    assert (tmp_path / "decisions.json").read_bytes() == (run / "evaluation" / "decisions.json").read_bytes()


def test_other_batches_change_no_prediction(trained: Trained, tmp_path: Path) -> None:
    run, _ = trained
    found = run_evaluation(composed("evaluate", tmp_path, f"checkpoint='{run}/best.ckpt'", "data.eval_batch_size=37"))
    assert found["confusion_matrix"] == metrics(run / "evaluation")["confusion_matrix"]


def test_evaluating_a_model_with_the_weights_says_the_same(trained: Trained, tmp_path: Path) -> None:
    run, _ = trained
    overrides = ("model=small_cnn", f"model.weights='{run}/best.ckpt'", "data=digits", "seed=3")
    found = run_evaluation(composed("evaluate", tmp_path, *overrides))
    assert found["confusion_matrix"] == metrics(run / "evaluation")["confusion_matrix"]
    # Weights carry no temperature: what they say is what the checkpoint says without its own.
    assert found["log_loss"] == pytest.approx(
        contents(run / "evaluation", "calibration")["before"]["log_loss"], abs=1e-12
    )


def test_an_evaluation_leaves_a_result_that_a_sweep_can_rank(trained: Trained, tmp_path: Path) -> None:
    run, _ = trained
    run_evaluation(composed("evaluate", tmp_path, f"checkpoint='{run}/best.ckpt'", "split=val"))
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["monitor"], result["mode"], result["split"]) == ("val/accuracy", "max", "val")
    assert result["score"] == metrics(tmp_path)["accuracy"] == result["metrics"]["accuracy"]
    assert result["score"] == pytest.approx(json.loads((run / "result.json").read_text())["score"], abs=1e-6)


def test_data_chosen_by_name_keep_the_preprocessing_and_the_split_of_the_checkpoint(folder: Path) -> None:
    """conf/data/digits.yaml asks for images of 32 px, and the configuration of evaluate says seed=1."""
    assert command("train", *SHORT, "run_dir=run", "preprocess.size=20", "seed=5").code == 0
    assert command("evaluate", "checkpoint=run/best.ckpt", "data=digits", "run_dir=kept").code == 0
    assert (folder / "kept" / "metrics.json").read_bytes() == (folder / "run/evaluation/metrics.json").read_bytes()
    overrides = ("checkpoint=run/best.ckpt", "data=digits", "preprocess=small", "run_dir=other")
    assert command("evaluate", *overrides).code == 0
    assert metrics(folder / "other")["log_loss"] != metrics(folder / "kept")["log_loss"]


def test_a_sweep_of_evaluations_is_ranked(trained: Trained, folder: Path) -> None:
    checkpoint = f"checkpoint='{trained[0]}/best.ckpt'"
    done = command("evaluate", "-m", checkpoint, "split=val,test", "hydra/launcher=basic", "hydra.sweep.dir=sweep")
    assert done.code == 0
    assert all((folder / "sweep" / name / "result.json").exists() for name in "01")


def test_without_a_test_split_validation_is_evaluated_with_a_warning(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="imgrec"):
        result = run_training(composed("train", folder, *SHORT, "data.test_fraction=0"))
    assert "The data has no test split" in caplog.text
    assert result["split"] == "val"
    assert result["metrics"]["accuracy"] == pytest.approx(result["score"], abs=1e-6)


def test_a_complete_run_is_evaluated_again_and_a_longer_one_resumes(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = run_training(composed("train", folder, *SHORT))
    with caplog.at_level(logging.INFO, logger="imgrec"):
        again = run_training(composed("train", folder, *SHORT))
    assert "This run is complete" in caplog.text
    assert again == first
    run_training(composed("train", folder, "trainer.max_epochs=2", SHORT[1]))
    assert len((folder / "history.csv").read_text().splitlines()) == 3
    with pytest.raises(
        CheckpointError, match=r"2 completed epochs, more than trainer.max_epochs=1.*Set trainer.max_epo"
    ):
        run_training(composed("train", folder, *SHORT))


def test_a_run_from_scratch_moves_the_earlier_one_aside(folder: Path) -> None:
    run_training(composed("train", folder, "trainer.max_epochs=2", SHORT[1]))
    before = (folder / "best.ckpt").read_bytes()
    run_training(composed("train", folder, *SHORT, "resume=never"))
    assert (folder / "earlier-1" / "best.ckpt").read_bytes() == before
    assert not (folder / "last.previous.ckpt").exists()
    # The earlier run had come further. It must not be taken for the newest of this one.
    run_training(composed("train", folder, *SHORT))
    assert len((folder / "history.csv").read_text().splitlines()) == 2


def test_a_complete_run_that_resumes_elsewhere_evaluates_the_checkpoint_that_it_came_from(folder: Path) -> None:
    run_training(composed("train", folder / "one", *SHORT))
    path = folder / "one" / "best.ckpt"
    result = run_training(composed("train", folder / "two", *SHORT, f"resume='{path}'"))
    assert result["checkpoint"] == str(path)


class Hinge(nn.Module):
    """A loss of the user's own."""

    task = "single"

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        return F.multi_margin_loss(logits.float(), targets)


class NumSeen(Metric):
    """A metric of the user's own, which names no task."""

    def __init__(self) -> None:
        super().__init__()
        self.add_state("count", default=torch.tensor(0), dist_reduce_fx="sum")

    def update(self, predictions: Tensor, labels: Tensor) -> None:
        self.count += len(labels)

    def compute(self) -> Tensor:
        return self.count.float()


def test_a_loss_and_a_metric_of_the_users_own_are_trained_with_and_logged(folder: Path) -> None:
    metrics = MetricCollection({"accuracy": MulticlassAccuracy(10, average="micro"), "seen": NumSeen()})
    run_training(composed("train", folder, *SHORT), {"loss": Hinge(), "metrics": metrics})
    with (folder / "history.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert 0 < float(row["train/seen"]) <= 2 * 64
    assert float(row["val/seen"]) == 180
    assert load_checkpoint(folder / "best.ckpt")["imgrec"]["config"]["loss"] == {"_object_": f"{__name__}.Hinge"}


def test_a_run_without_a_logger_works(folder: Path) -> None:
    done = command("train", *SHORT, "~logger", "run_dir=run")
    assert done.code == 0
    assert not (folder / "run" / "tensorboard").exists()
    assert "tensorboard" not in done.out


def test_a_disk_without_room_for_the_checkpoints_is_found_before_training(folder: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("imgrec.core.files.atomic_write._free_bytes", lambda _: 2_000_000)
    with pytest.raises(RunFolderError, match=r"2\.0 MB free, but 4\.\d MB are needed.*run_dir=PATH"):
        run_training(composed("train", folder, *SHORT))
    assert not (folder / "history.csv").exists()
