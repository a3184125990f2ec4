"""One line of progress."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from imgrec.training.callbacks import RunLog, progress
from imgrec.training.callbacks.progress import ProgressLine, _clock
from imgrec.training.trainer import make_trainer
from small_run import Noise, small_classifier


def trainer(**changes: Any) -> Any:
    facts = {
        "current_epoch": 1, "max_epochs": 4, "max_steps": -1, "num_training_batches": 10, "world_size": 2,
        "accumulate_grad_batches": 1, "num_test_batches": [4], "callback_metrics": {},
    }  # fmt: skip
    return SimpleNamespace(**(facts | changes))


class Clock:
    """Time that passes only when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def line(*, live: bool = False) -> ProgressLine:
    made = ProgressLine()
    made._live = live
    return made


def train_batches(bar: ProgressLine, clock: Clock, *, count: int, seconds: float, facts: Any) -> None:
    module: Any = SimpleNamespace(last_loss=torch.tensor(0.51234))
    bar.on_train_start(facts, module)
    for index in range(count):
        clock.now += seconds
        bar.on_train_batch_end(facts, module, None, {"indices": torch.zeros(16)}, index)


def test_in_a_file_a_line_comes_every_half_minute(capsys, clock):
    train_batches(line(), clock, count=7, seconds=10, facts=trainer())
    lines = capsys.readouterr().err.splitlines()
    # 3 batches of 16 images in each of 2 processes in 30 s; 40 - 10 - 3 batches of 10 s are left.
    assert lines[0] == "epoch 2/4  batch 3/10  loss 0.5123  3 images/s  4:30 left"
    assert [text.split("batch ")[1][:4] for text in lines] == ["3/10", "6/10"]


def test_in_a_terminal_one_line_is_rewritten(capsys, clock):
    train_batches(line(live=True), clock, count=3, seconds=0.2, facts=trainer())
    printed = capsys.readouterr().err
    assert "\n" not in printed
    assert printed.count("\r\x1b[2K") == 1  # after 0.4 s; 0.2 and 0.6 s are too soon
    assert "batch 2/10" in printed


def test_in_a_notebook_one_line_is_rewritten_over_all_epochs(capsys, clock, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipykernel", SimpleNamespace())
    bar, facts = ProgressLine(), trainer(callback_metrics={"val/accuracy": 0.9})
    for _ in range(2):
        train_batches(bar, clock, count=3, seconds=0.2, facts=facts)
        bar.on_train_epoch_end(facts, SimpleNamespace())
    bar.on_train_end(facts, SimpleNamespace())
    captured = capsys.readouterr()
    assert (captured.err, captured.out.count("\n")) == ("", 1)
    *_, long, short = captured.out.rstrip("\n").split("\r")
    assert long.startswith("epoch 2/4  batch 2/10")
    assert short.rstrip() == "epoch 2/4  val/accuracy 0.9000  160 images/s"
    assert len(short) == len(long)  # nothing of the longer line is left


@pytest.mark.parametrize(
    ("facts", "epoch", "left"),
    [
        ({"max_epochs": -1, "max_steps": 43}, "epoch 2  ", "5:00 left"),
        ({"max_epochs": 4, "max_steps": 23}, "epoch 2/4  ", "1:40 left"),
        ({"max_epochs": -1, "max_steps": 22, "accumulate_grad_batches": 2}, "epoch 2  ", "5:10 left"),
        ({"max_epochs": 1, "max_steps": -1}, "epoch 2/1  ", "0:00 left"),
        ({"max_epochs": -1, "max_steps": -1}, "epoch 2  ", None),
        ({"max_epochs": None, "max_steps": -1}, "epoch 2  ", None),
    ],
)
def test_the_time_left_is_that_of_the_whole_run_where_it_has_an_end(facts, epoch, left, capsys, clock):
    train_batches(line(), clock, count=3, seconds=10, facts=trainer(**facts))
    printed = capsys.readouterr().err.strip()
    assert printed.startswith(epoch)
    assert printed.endswith(left or "3 images/s")


def test_an_epoch_leaves_a_line_with_its_metrics(capsys, clock):
    bar, facts = line(), trainer(callback_metrics={"val/accuracy": 0.9, "train/loss": 0.25, "val/precision": 0.1})
    bar.on_train_start(facts, SimpleNamespace())
    clock.now += 2
    bar._images = 100
    bar.on_train_epoch_end(facts, SimpleNamespace())
    assert capsys.readouterr().err == "epoch 2/4  train/loss 0.2500  val/accuracy 0.9000  100 images/s\n"


def test_an_evaluation_has_its_line_too(capsys, clock):
    bar, facts = line(), trainer()
    bar.on_test_start(facts, SimpleNamespace())
    for index in range(3):
        clock.now += 15
        bar.on_test_batch_end(facts, SimpleNamespace(), None, {"indices": torch.zeros(30)}, index)
    assert capsys.readouterr().err == "evaluating  batch 2/4  4 images/s  0:30 left\n"
    bar.on_test_end(facts, SimpleNamespace())
    assert capsys.readouterr().err == ""


def test_a_terminal_is_left_clean(capsys):
    line(live=True).on_test_end(trainer(), SimpleNamespace())
    assert capsys.readouterr().err == "\r\x1b[2K"


def test_other_processes_say_nothing(capsys):
    bar = line()
    bar.disable()
    bar.print("x")
    assert capsys.readouterr().err == ""
    bar.enable()
    bar.print("x", 1)
    assert capsys.readouterr().err == "x 1\n"


def test_it_takes_the_place_of_lightnings_bar(capsys, tmp_path):
    fitting = make_trainer(
        gpus=0,
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        callbacks=[RunLog(tmp_path), ProgressLine()],
    )
    fitting.fit(small_classifier(), datamodule=Noise(num_workers=0))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert captured.err.startswith("epoch 1/1  train/loss ")


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.9, "0:59"), (61, "1:01"), (3661, "1:01:01")])
def test_a_time_is_minutes_and_seconds_and_hours_where_there_are_any(seconds, text):
    assert _clock(seconds) == text
