"""A run that is stopped anywhere and resumed ends where an uninterrupted one ends, bit for bit."""

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import seed_everything
from pytorch_lightning.callbacks import EMAWeightAveraging

from command import composed
from imgrec.core.files.json_file import read_json
from imgrec.train_job import run_training
from project import PROJECT
from small_run import Draws, Killed, Noise, Trace, assert_equal, everything, fit, small_classifier


def averaging() -> list[Any]:
    return [EMAWeightAveraging(decay=0.9)]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[int, Any]]:
    trace = Trace()
    run = fit(tmp_path_factory.mktemp("unbroken"), callbacks=[trace, *averaging()])
    return everything(*run), trace.steps


# 50 images in batches of 8: 7 batches an epoch, 21 in all; last.ckpt every 3 steps and at the end of each epoch.
@pytest.mark.parametrize("stop_after", [3, 5, 7, 8, 13, 14, 20])
def test_a_killed_run_goes_on_bit_for_bit(stop_after: int, unbroken: Any, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        fit(tmp_path, callbacks=[Trace(stop_after), *averaging()])
    trace = Trace()
    run = fit(tmp_path, callbacks=[trace, *averaging()], resume=True)
    expected, steps = unbroken
    assert trace.steps == {step: seen for step, seen in steps.items() if step in trace.steps}
    assert max(trace.steps) == max(steps)
    assert_equal(everything(*run), expected)


def test_a_run_killed_in_validation_goes_on_bit_for_bit(unbroken: Any, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        fit(tmp_path, callbacks=[Trace(14, stop_in_validation=True), *averaging()])
    run = fit(tmp_path, callbacks=averaging(), resume=True)
    assert_equal(everything(*run), unbroken[0])


def test_loader_processes_change_nothing(unbroken: Any, tmp_path: Path) -> None:
    data = Noise(batch_size=8, augment=Draws(), num_workers=2)
    data.preprocess = keep
    trace = Trace()
    run = fit(tmp_path, callbacks=[trace, *averaging()], data=data)
    assert trace.steps == unbroken[1]
    assert_equal(everything(*run), unbroken[0])


def keep(image: Any) -> Any:
    return image


@pytest.mark.parametrize("stop_after", [4, 7])
def test_a_run_with_loader_processes_goes_on_bit_for_bit(stop_after: int, unbroken: Any, tmp_path: Path) -> None:
    def data() -> Noise:
        return Noise(batch_size=8, augment=Draws(), num_workers=2)

    with pytest.raises(Killed):
        fit(tmp_path, callbacks=[Trace(stop_after), *averaging()], data=data())
    run = fit(tmp_path, callbacks=averaging(), data=data(), resume=True)
    assert_equal(everything(*run), unbroken[0])


def test_accumulated_batches_are_never_cut_apart(tmp_path: Path) -> None:
    options: dict[str, Any] = {"accumulate_grad_batches": 2, "every_n_steps": 1}
    expected = everything(*fit(tmp_path / "unbroken", **options))
    with pytest.raises(Killed):
        fit(tmp_path, callbacks=[Trace(12)], **options)
    assert_equal(everything(*fit(tmp_path, resume=True, **options)), expected)


def test_a_schedule_that_watches_a_score_goes_on(tmp_path: Path) -> None:
    def classifier() -> Any:
        seed_everything(7, verbose=False)
        return small_classifier(scheduler=plateau)

    expected = everything(*fit(tmp_path / "unbroken", classifier=classifier(), epochs=5))
    assert expected["schedule"]["_last_lr"] != [1e-2], "the test needs a schedule that has stepped"
    with pytest.raises(Killed):
        fit(tmp_path, callbacks=[Trace(22)], classifier=classifier(), epochs=5)
    assert_equal(everything(*fit(tmp_path, classifier=classifier(), epochs=5, resume=True)), expected)


def plateau(optimizer: Any, *, total_steps: int, steps_per_epoch: int) -> dict[str, Any]:
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode="min", patience=0, threshold=1.0)
    return {"scheduler": schedule, "interval": "epoch", "monitor": "val/loss"}


def test_validation_in_the_middle_of_an_epoch_goes_on(tmp_path: Path) -> None:
    options: dict[str, Any] = {"val_check_interval": 3, "every_n_steps": 1}
    expected = everything(*fit(tmp_path / "unbroken", **options))
    for stop_after in (3, 4, 6, 10):
        folder = tmp_path / str(stop_after)
        with pytest.raises(Killed):
            fit(folder, callbacks=[Trace(stop_after + 1)], **options)
        assert_equal(everything(*fit(folder, resume=True, **options)), expected)


def test_a_run_of_before_the_modules_moved_resumes_to_the_same_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its checkpoint names modules and keys as they were in version 0.1.0."""
    old = PROJECT / "tests" / "fixtures" / "before_layout"
    monkeypatch.chdir(old)
    overrides = (
        "data=folder", "data.root=images", "data.val_fraction=0.55", "data.test_fraction=0.2", "data.batch_size=3",
        "data.num_workers=0", "preprocess=small", "preprocess.size=16", "augment=standard", "model=small_cnn",
        "model.channels=[4,4]", "model.hidden=8", "model.dropout=0", "trainer.gpus=0", "mixing=mixup_cutmix",
        "callbacks=[default,ema]", "trainer.max_epochs=2", "resume=last.ckpt",
    )  # fmt: skip
    result = run_training(composed("train", tmp_path, *overrides))
    expected = read_json(old / "expected.json")
    assert result["metrics"] == pytest.approx(expected["resumed_result"], abs=1e-5)
    with (tmp_path / "history.csv").open() as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    assert rows == [
        pytest.approx({name: float(row[name]) for name in row}, abs=1e-5) for row in expected["resumed_history"]
    ]
