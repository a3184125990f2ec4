"""What a run leaves in its history and its curves."""

import csv
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning.loggers import Logger

from imgrec.training.callbacks.run_log import RunLog, image_grid, to_csv
from imgrec.training.trainer import make_trainer
from small_run import Killed, Noise, Trace, fit, small_classifier


class Images:
    def __init__(self) -> None:
        self.seen: list[tuple[str, torch.Tensor, int]] = []

    def add_image(self, tag: str, image: torch.Tensor, step: int) -> None:
        self.seen.append((tag, image, step))


class Points(Logger):
    """A logger that keeps what it is given."""

    name = version = ""

    def __init__(self) -> None:
        super().__init__()
        self.points: list[tuple[int, dict[str, float]]] = []
        self.experiment = Images()

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        assert step is not None
        self.points.append((step, dict(metrics)))

    def log_hyperparams(self, *arguments: Any, **options: Any) -> None: ...

    def of(self, name: str) -> list[tuple[int, float]]:
        return [(step, values[name]) for step, values in self.points if name in values]


def run(folder: Path, *, every: int = 3, epochs: int = 2, classifier: Any = None, **options: Any) -> Any:
    """Train on 50 images in batches of 8: 7 steps an epoch. Returns the points, the callback and the classifier."""
    points, log = Points(), RunLog(folder)
    classifier = classifier or small_classifier()
    trainer = make_trainer(
        gpus=0, precision="32-true", max_epochs=epochs, logger=points, log_every_n_steps=every, callbacks=[log],
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False, **options,
    )  # fmt: skip
    trainer.fit(classifier, datamodule=Noise(batch_size=8, num_workers=0))
    return points, log, classifier


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open() as file:
        return list(csv.DictReader(file))


def test_the_history_has_a_row_per_epoch_with_all_scores(tmp_path):
    _, log, _ = run(tmp_path)
    first, second = rows(tmp_path)
    assert (first["epoch"], first["step"], second["epoch"], second["step"]) == ("0", "7", "1", "14")
    for split in ("train", "val"):
        assert {f"{split}/loss", f"{split}/accuracy", f"{split}/f1"} <= first.keys()
    assert not any("per_class" in name for name in first)
    assert [float(row["val/loss"]) for row in (first, second)] == [row["val/loss"] for row in log.history]


def test_curves_have_a_point_every_n_steps_and_at_the_end_of_an_epoch(tmp_path):
    points, _, _ = run(tmp_path, every=3)
    for name in ("step/loss", "step/images_per_s", "lr/0"):
        assert [step for step, _ in points.of(name)] == [3, 6, 7, 9, 12, 14], name


def test_a_point_at_the_end_of_an_epoch_is_not_drawn_twice(tmp_path):
    points, _, _ = run(tmp_path, every=7)
    assert [step for step, _ in points.of("step/loss")] == [7, 14]


def test_a_step_of_several_batches_counts_once(tmp_path):
    points, _, _ = run(tmp_path, every=2, accumulate_grad_batches=2)
    assert [step for step, _ in points.of("step/loss")] == [2, 4, 6, 8]


def test_a_rate_of_images_is_never_nothing(tmp_path):
    """Validation lies between the last step of an epoch and its end; its time and its images do not count."""
    points, _, _ = run(tmp_path, every=3)
    assert all(value > 0 and math.isfinite(value) for _, value in points.of("step/images_per_s"))


def test_the_learning_rate_is_that_of_the_step_that_was_taken(tmp_path):
    _, log, _ = run(tmp_path, epochs=1)
    optimizer = torch.optim.AdamW(small_classifier().parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=7)
    for _ in range(6):
        optimizer.step()
        schedule.step()
    assert log.history[0]["lr/0"] == pytest.approx(schedule.get_last_lr()[0], rel=1e-9)


def test_epoch_scores_stand_at_the_step_that_ends_the_epoch(tmp_path):
    points, log, _ = run(tmp_path)
    assert points.of("val/accuracy") == [(7, log.history[0]["val/accuracy"]), (14, log.history[1]["val/accuracy"])]
    assert [step for step, _ in points.of("train/f1")] == [7, 14]


def test_each_class_has_its_curves_by_name(tmp_path):
    points, _, _ = run(tmp_path)
    for split in ("train", "val"):
        for name in ("a", "b", "c"):
            assert [step for step, _ in points.of(f"{split}_f1_per_class/{name}")] == [7, 14]


def test_beyond_fifty_classes_there_are_no_curves_per_class(tmp_path):
    log = RunLog(tmp_path)
    points, classifier = Points(), small_classifier()
    sent: dict[str, Any] = {}
    classifier.log_dict = lambda values, **_: sent.update(values)  # type: ignore[method-assign]
    trainer = make_trainer(gpus=0, logger=points, enable_checkpointing=False)
    for count, expected in ((50, 50), (51, 0)):
        points.points.clear()
        classifier.class_names = [f"c{i}" for i in range(count)]
        log._publish(trainer, classifier, {"f1": torch.tensor(0.5), "f1_per_class": torch.rand(count)}, prefix="val")
        ((_, values),) = points.points
        assert sum(name.startswith("val_f1_per_class/") for name in values) == expected
        assert values["val/f1"] == 0.5
    assert set(sent) == {"val/f1"}


def test_the_first_training_batch_is_shown_once(tmp_path):
    points, _, classifier = run(tmp_path, accumulate_grad_batches=2)
    ((tag, image, step),) = points.experiment.seen
    assert (tag, step) == ("first_batch/train", 0)
    assert image.dtype == torch.uint8
    assert image.shape == (3, 66, 8 * 66)  # 8 images of 8 px, enlarged to 64, with a border of 1
    assert classifier.first_images is None


def test_without_a_logger_there_is_still_a_history(tmp_path):
    fit(tmp_path, epochs=1)
    assert len(rows(tmp_path)) == 1


def test_a_run_that_goes_on_has_each_row_once_and_the_same(tmp_path):
    fit(tmp_path / "whole", epochs=3)
    with pytest.raises(Killed):
        fit(tmp_path / "parts", epochs=3, callbacks=[Trace(17)])
    fit(tmp_path / "parts", epochs=3, resume=True)
    assert (tmp_path / "parts" / "history.csv").read_bytes() == (tmp_path / "whole" / "history.csv").read_bytes()


def test_its_state_is_plain_and_comes_back():
    log = RunLog("x")
    log.history, log._row, log._rates = [{"epoch": 0}], {"val/loss": 1.0}, {"lr/0": 0.1}
    other = RunLog("x")
    other.load_state_dict(log.state_dict())
    assert other.state_dict() == {"history": [{"epoch": 0}], "row": {"val/loss": 1.0}, "rates": {"lr/0": 0.1}}


# Parts


def test_a_grid_lays_images_out_row_by_row():
    images = torch.zeros(10, 3, 64, 64)
    images[9] = 200
    grid = image_grid(images)
    assert grid.shape == (3, 2 * 66, 8 * 66)
    assert int(grid[0, 66 + 5, 66 + 5]) == 200  # the tenth: second row, second column
    assert int(grid[0, 66 + 5, 5]) == 0
    assert int(grid[0, 0, 0]) == 255  # the border
    assert int(grid[0, 66 + 5, 5 * 66]) == 255  # no image


def test_a_grid_takes_at_most_32_images_and_keeps_values_in_range():
    grid = image_grid(torch.full((40, 3, 64, 64), 300.0))
    assert grid.shape == (3, 4 * 66, 8 * 66)
    assert int(grid.max()) == 255


def test_a_column_that_a_row_lacks_stays_empty():
    assert to_csv([{"epoch": 0, "val/loss": 1.5}, {"epoch": 1}]) == "epoch,val/loss\n0,1.5\n1,\n"
