"""The TensorBoard files of a run, read back by TensorBoard's reader."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from command import composed
from imgrec.core.config.build import to_plain
from imgrec.evaluation.predictions.predictions import Predictions
from imgrec.evaluation.report.tensorboard.tensorboard import hyperparameters, log_evaluation
from imgrec.train_job import run_training
from report_data import make_predictions, write_folder

STEPS = 6


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[EventAccumulator, Any]:
    """Two epochs of six steps on the digits: the events, and the result."""
    folder = tmp_path_factory.mktemp("run")
    overrides = ("trainer.max_epochs=2", f"+trainer.limit_train_batches={STEPS}", "trainer.log_every_n_steps=4")
    result = run_training(composed("train", folder, *overrides, "optimizer.lr=0.002"))
    sizes = {"scalars": 0, "images": 0, "tensors": 0}
    return EventAccumulator(str(folder / "tensorboard"), size_guidance=sizes).Reload(), result


def points(events: EventAccumulator, tag: str) -> dict[int, float]:
    return {point.step: point.value for point in events.Scalars(tag)}


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("name", ["loss", "accuracy", "precision", "recall", "f1"])
def test_every_metric_has_a_point_per_epoch(run, split, name):
    assert list(points(run[0], f"{split}/{name}")) == [STEPS, 2 * STEPS]


@pytest.mark.parametrize("name", ["step/loss", "step/images_per_s", "step/gradient_norm", "lr/decay", "lr/no_decay"])
def test_steps_have_their_curves(run, name):
    found = points(run[0], name)
    assert list(found) == [4, 6, 8, 12]
    assert all(value > 0 or name.startswith("lr/") for value in found.values())


def test_rates_are_those_of_the_schedule(run):
    rates = points(run[0], "lr/decay")
    assert rates[4] < 0.002
    assert list(rates.values()) == sorted(rates.values(), reverse=True)


@pytest.mark.parametrize("name", ["precision", "recall", "f1"])
def test_every_class_has_its_curves(run, name):
    for digit in range(10):
        assert len(points(run[0], f"val_{name}_per_class/{digit}")) == 2


def test_the_images_are_what_the_network_saw_and_the_confusion_matrix(run):
    events, _ = run
    assert events.Tags()["images"] == [
        "first_batch/train", "test/confusion_matrix", "test/reliability", "test/worst_mistakes",
    ]  # fmt: skip
    (grid,) = events.Images("first_batch/train")
    assert (grid.width, grid.height) == (8 * 66, 4 * 66)
    (matrix,) = events.Images("test/confusion_matrix")
    assert min(matrix.width, matrix.height) > 300


def test_the_projector_has_a_point_for_each_test_image(run):
    folder = Path(run[0].path)
    config = (folder / "projector_config.pbtxt").read_text()
    assert 'tensor_name: "test/features:00000"' in config
    (metadata,) = folder.rglob("metadata.tsv")
    tensors = metadata.with_name("tensors.tsv").read_text().splitlines()
    rows = metadata.read_text().splitlines()
    assert rows[0] == "label\tprediction\tcorrect\tconfidence\tpath"
    assert len(tensors) == len(rows) - 1 == 359
    assert {len(row.split("\t")) for row in tensors} == {128}


def test_every_class_has_a_precision_recall_curve(run):
    events, _ = run
    assert [f"test/{digit}" for digit in range(10)] == events.Tags()["tensors"]
    assert events.SummaryMetadata("test/3").plugin_data.plugin_name == "pr_curves"


def hparams(events: EventAccumulator, tag: str) -> Any:
    content = events.SummaryMetadata(f"_hparams_/{tag}").plugin_data.content
    return plugin_data_pb2.HParamsPluginData.FromString(content)


def test_the_configuration_becomes_hyperparameters(run):
    found = hparams(run[0], "session_start_info").session_start_info.hparams
    values = {name: value.number_value or value.string_value for name, value in found.items()}
    assert values["optimizer.lr"] == 0.002
    assert (values["model"], values["optimizer"], values["data"]) == ("small_cnn", "AdamW", "DigitsData")
    assert (values["seed"], values["data.batch_size"], values["trainer.max_epochs"]) == (1, 64, 2)


def test_hyperparameters_are_logged_with_the_final_metrics(run):
    events, result = run
    names = {info.name.tag for info in hparams(events, "experiment").experiment.metric_infos}
    assert {"best/val/accuracy", "test/accuracy", "test/f1_macro"} <= names
    for name in ("accuracy", "f1_macro", "log_loss"):
        assert list(points(events, f"test/{name}").values()) == [pytest.approx(result["metrics"][name], rel=1e-6)]
    assert list(points(events, "best/val/accuracy").values()) == [pytest.approx(result["score"])]


# Parts


class Writer:
    """Stands in for a SummaryWriter: notes the tags."""

    def __init__(self) -> None:
        self.images: list[str] = []
        self.curves: dict[str, tuple[Any, Any]] = {}

    def add_image(self, tag: str, *arguments: Any, **options: Any) -> None:
        self.images.append(tag)

    def add_pr_curve(self, tag: str, labels: Any, probabilities: Any) -> None:
        self.curves[tag] = (labels, probabilities)


def logged(
    predictions: Predictions, *, split: str = "test", writer: Any = None, folder: Path | None = None
) -> tuple[Any, dict[str, Any]]:
    """Return the writer after `log_evaluation`, and the arguments that the logger received."""
    writer, logged_values = writer or Writer(), {}
    logger = SimpleNamespace(
        experiment=writer,
        log_hyperparams=lambda values, scores: logged_values.update(hyperparameters=values, scores=scores),
        log_metrics=lambda scores: logged_values.update(scores=scores),
        save=lambda: None,
    )
    result = {"score": 0.5, "monitor": "val/accuracy", "split": split, "metrics": {"accuracy": 0.25}}
    log_evaluation(logger, predictions, config={"seed": 3}, result=result, folder=folder or Path("nowhere"))
    return writer, logged_values


def predictions(num_classes: int = 3, *, several: bool = False) -> Predictions:
    labels = np.arange(6) % num_classes
    return Predictions(
        names=[f"p{i}" for i in range(6)],
        labels=np.eye(num_classes, dtype=np.uint8)[labels] if several else labels.astype(np.int64),
        logits=np.random.default_rng(0).normal(size=(6, num_classes)).astype(np.float32),
        class_names=[f"c{i}" for i in range(num_classes)],
        task="multilabel" if several else "single",
    )


def test_metrics_on_val_stay_apart_from_its_training_curves():
    writer, logged_values = logged(predictions(), split="val")
    assert logged_values["scores"] == {"best/val/accuracy": 0.5, "best_val/accuracy": 0.25}
    assert writer.images == ["best_val/confusion_matrix"]
    assert set(writer.curves) == {"best_val/c0", "best_val/c1", "best_val/c2"}


def test_calibration_and_thumbnails_of_the_folder_become_images(tmp_path):
    table = make_predictions(sure=1.0)
    writer, _ = logged(table, folder=write_folder(tmp_path / "evaluation", table))
    assert writer.images == ["test/confusion_matrix", "test/reliability", "test/worst_mistakes"]


def test_several_labels_have_curves_and_no_matrix():
    table = predictions(several=True)
    writer, _ = logged(table)
    assert writer.images == []
    labels, probabilities = writer.curves["test/c1"]
    assert labels.tolist() == table.labels[:, 1].astype(bool).tolist()
    assert np.array_equal(probabilities, table.probabilities[:, 1])


def test_beyond_fifty_classes_there_are_no_curves():
    assert len(logged(predictions(50))[0].curves) == 50
    assert logged(predictions(51))[0].curves == {}


def test_another_logger_gets_the_numbers():
    _, logged_values = logged(predictions(), writer=object())
    assert logged_values == {"scores": {"best/val/accuracy": 0.5, "test/accuracy": 0.25}}


def test_hyperparameters_are_plain_values_without_empty_ones():
    found = hyperparameters(to_plain(composed("train", Path("out"), "mixing=cutmix", "preprocess.size=24")))
    assert all(isinstance(value, bool | int | float | str) for value in found.values())
    assert (found["mixing.cutmix_alpha"], found["preprocess.size"]) == (1.0, 24)
    assert not any(name.endswith((".num_classes", ".name", "._target_")) for name in found)


def test_hyperparameters_of_an_empty_configuration():
    assert hyperparameters({"seed": 3, "mixing": None}) == {"seed": 3}
