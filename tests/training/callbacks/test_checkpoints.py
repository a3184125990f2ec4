"""When checkpoints are written, and how a run stops when it is told to."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import EMAWeightAveraging

from imgrec.core.checkpoint.checkpoint import load_checkpoint
from imgrec.errors import ConfigError, NonFiniteError, StopRequestedError
from small_run import assert_equal, everything, fit, small_classifier


class Send(Callback):
    """Sends this process a signal once, at a step or in a validation."""

    def __init__(self, number: int, *, step: int | None = None, validation: int | None = None) -> None:
        self.number, self.step, self.validation = number, step, validation
        self._validations = 0

    def on_train_batch_start(self, trainer: Any, *arguments: Any) -> None:
        if trainer.global_step == self.step:
            self.step = None
            os.kill(os.getpid(), self.number)

    def on_validation_epoch_start(self, *arguments: Any) -> None:
        self._validations += 1
        if self._validations == self.validation:
            os.kill(os.getpid(), self.number)


def averaging() -> list[Callback]:
    return [EMAWeightAveraging(decay=0.9)]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return everything(*fit(tmp_path_factory.mktemp("unbroken"), callbacks=averaging()))


@pytest.mark.parametrize(
    ("number", "where", "saved_at"),
    [
        (signal.SIGTERM, {"step": 4}, 5),
        (signal.SIGINT, {"step": 9}, 10),
        (signal.SIGTERM, {"step": 6}, 7),  # the last batch of the first epoch: its validation is still to come
        (signal.SIGINT, {"validation": 2}, 14),
    ],
)
def test_a_signal_saves_at_once_and_the_run_resumes_bit_for_bit(number, where, saved_at, unbroken, tmp_path) -> None:
    message = f"Stopped by {signal.Signals(number).name}.*resumes from it"
    with pytest.raises(StopRequestedError, match=message) as stopped:
        fit(tmp_path, before=[Send(number, **where)], callbacks=averaging(), every_n_steps=None)
    assert stopped.value.exit_code == 128 + number
    assert load_checkpoint(tmp_path / "last.ckpt")["global_step"] == saved_at
    assert_equal(everything(*fit(tmp_path, callbacks=averaging(), resume=True)), unbroken)


def test_signals_are_given_back_after_training(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    fit(tmp_path, epochs=1)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_best_is_the_checkpoint_of_the_last_epoch_with_the_best_score(tmp_path: Path) -> None:
    _, _, log = fit(tmp_path, epochs=5)
    scores = [row["val/accuracy"] for row in log.history]
    best = load_checkpoint(tmp_path / "best.ckpt")
    assert best["epoch"] == max(epoch for epoch, score in enumerate(scores) if score == max(scores))
    assert load_checkpoint(tmp_path / "last.ckpt")["global_step"] == 35


def test_a_run_that_goes_on_from_its_best_checkpoint_makes_it_the_last_one_too(tmp_path: Path) -> None:
    fit(tmp_path, epochs=1)
    (tmp_path / "last.ckpt").unlink()
    assert (tmp_path / "best.ckpt").exists()
    fit(tmp_path, epochs=1, resume="best.ckpt")
    assert load_checkpoint(tmp_path / "last.ckpt")["global_step"] == 7


def test_the_previous_checkpoint_is_kept_beside_the_last(tmp_path: Path) -> None:
    fit(tmp_path, epochs=2, every_n_steps=3)
    assert load_checkpoint(tmp_path / "last.previous.ckpt")["global_step"] < 14


def test_a_score_that_does_not_exist_is_named_with_those_that_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"val/acuracy is not a metric.*val/accuracy"):
        fit(tmp_path, monitor="val/acuracy")


class Poison(torch.nn.Module):
    """A loss that is NaN from its nth training call on."""

    def __init__(self, call: int) -> None:
        super().__init__()
        self.call = call

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        self.call -= 1
        loss = torch.nn.functional.cross_entropy(logits, targets)
        return loss * float("nan") if self.call == 0 else loss


def test_a_nan_loss_stops_before_the_weights_take_it_in_and_names_the_images(tmp_path: Path) -> None:
    classifier = small_classifier(loss=Poison(6))
    with pytest.raises(NonFiniteError, match=r"loss is not finite at step 5 of epoch 0.*train/\d+.*Lower optimizer.lr"):
        fit(tmp_path, classifier=classifier)
    assert all(torch.isfinite(value).all() for value in classifier.state_dict().values())
    assert load_checkpoint(tmp_path / "last.ckpt")["global_step"] == 3
    facts = json.loads((tmp_path / "nonfinite.json").read_text())
    assert len(facts["samples"]) in (7, 8)
    assert facts["step"] == 5


class Overflow(torch.nn.Module):
    """A finite loss whose gradient is infinite: the square root at zero."""

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return torch.sqrt(logits.sum() * 0) + 1


def test_an_infinite_gradient_stops_as_well(tmp_path: Path) -> None:
    with pytest.raises(NonFiniteError, match="A gradient is not finite at step 0"):
        fit(tmp_path, classifier=small_classifier(loss=Overflow()))
