"""Two processes on the CPU: every image counts once, also where the number of them is odd."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from command import command
from imgrec.core.config.overrides import quote
from script import TWO, start

pytestmark = pytest.mark.guard
NUM_TEST, NUM_VAL = 359, 180  # of the digits


def evaluated_alone(folder: Path, name: str, *arguments: str) -> None:
    """Evaluate the best checkpoint in this process, into the folder `name`."""
    arguments = (f"checkpoint={quote(folder / 'run' / 'best.ckpt')}", "trainer.gpus=0", *arguments)
    done = command("evaluate", f"run_dir={quote(folder / name)}", *arguments)
    assert done.code == 0, done.err


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An epoch by two processes in `run`, and its best checkpoint evaluated by one and by two."""
    folder = tmp_path_factory.mktemp("ddp")
    arguments = ("trainer.max_epochs=1", "+trainer.limit_train_batches=4", "data.batch_size=32", "run_dir=run")
    said = start("train.py", folder, *arguments, *TWO)
    (folder / "said").write_text(said)
    evaluated_alone(folder, "one")
    start("evaluate.py", folder, "checkpoint=run/best.ckpt", "run_dir=two", *TWO)
    return folder


def metrics(path: Path) -> dict[str, Any]:
    return json.loads((path / "metrics.json").read_text())


def test_two_processes_evaluate_like_one(folder):
    one, two = metrics(folder / "one"), metrics(folder / "two")
    assert two["num_samples"] == one["num_samples"] == NUM_TEST
    assert two["confusion_matrix"] == one["confusion_matrix"]
    assert two.keys() == one.keys()
    for name in ("accuracy", "top5", "log_loss"):
        assert two[name] == pytest.approx(one[name], abs=1e-6)


def test_the_table_has_each_image_once_in_the_order_of_the_data(folder):
    from imgrec.evaluation import read_parquet

    one, two = (read_parquet(folder / name / "predictions.parquet") for name in ("one", "two"))
    assert list(two.names) == list(one.names)
    assert len(set(two.names)) == NUM_TEST


def test_training_by_two_processes_is_tested_on_each_image_once(folder):
    trained, one = metrics(folder / "run" / "evaluation"), metrics(folder / "one")
    assert trained["num_samples"] == NUM_TEST
    assert trained["confusion_matrix"] == one["confusion_matrix"]


def test_validation_by_two_processes_counts_each_image_once(folder):
    """The accuracy in the history is that of all images: a whole number of them, and what one process finds."""
    with (folder / "run" / "history.csv").open() as file:
        (row,) = csv.DictReader(file)
    evaluated_alone(folder, "val", "split=val")
    alone = metrics(folder / "val")
    assert alone["num_samples"] == NUM_VAL
    assert float(row["val/accuracy"]) * NUM_VAL == pytest.approx(NUM_VAL - alone["num_errors"], abs=1e-3)


def test_only_the_first_process_speaks_and_writes(folder):
    said = (folder / "said").read_text()
    assert said.count("Run folder: run") == 1
    assert said.count("epoch 1/1") == 1
    assert json.loads((folder / "run" / "result.json").read_text())["monitor"] == "val/accuracy"


def test_two_processes_fit_one_temperature_on_all_of_validation(folder):
    found = [json.loads((folder / path / "decisions.json").read_text()) for path in ("run/evaluation", "one", "two")]
    assert found[0]["fitted_on"] == {"split": "val", "num_samples": NUM_VAL}
    assert found[0]["temperature"] == found[1]["temperature"] == found[2]["temperature"] != 1
