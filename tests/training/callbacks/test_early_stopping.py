"""A run that has been stopped early stays stopped."""

import logging
from pathlib import Path
from typing import Any

import pytest

from imgrec.training.callbacks import EarlyStopping
from small_run import fit


def stopping(patience: int = 1, **options: Any) -> EarlyStopping:
    """Return a callback that no run of this size can satisfy."""
    return EarlyStopping("val/accuracy", mode="max", min_delta=2.0, patience=patience, **options)


def rows(folder: Path) -> int:
    return len((folder / "history.csv").read_text().splitlines()) - 1


def test_it_ends_a_run_that_does_not_improve_and_says_why(tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="imgrec"):
        fit(tmp_path, callbacks=[stopping()], epochs=5)
    assert rows(tmp_path) == 2  # the first is an improvement on nothing
    assert "Stopped early after 2 epochs: val/accuracy has not improved on" in caplog.text
    assert "for 1 validations" in caplog.text


def test_the_same_command_again_trains_no_further(tmp_path):
    fit(tmp_path, callbacks=[stopping()], epochs=5)
    weights = (tmp_path / "last.ckpt").read_bytes()
    for _ in range(2):
        fit(tmp_path, callbacks=[stopping()], epochs=5, resume=True)
    assert rows(tmp_path) == 2
    assert (tmp_path / "last.ckpt").read_bytes() == weights


def test_more_patience_trains_on(tmp_path):
    fit(tmp_path, callbacks=[stopping()], epochs=5)
    fit(tmp_path, callbacks=[stopping(patience=3)], epochs=5, resume=True)
    assert rows(tmp_path) == 4


def test_a_threshold_that_was_reached_stays_reached(tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="imgrec"):
        fit(tmp_path, callbacks=[stopping(stopping_threshold=-1.0)], epochs=5)
    assert "Stopped early after 1 epochs: Stopping threshold reached" in caplog.text
    fit(tmp_path, callbacks=[stopping(stopping_threshold=-1.0)], epochs=5, resume=True)
    assert rows(tmp_path) == 1


@pytest.mark.parametrize("epochs", [1, 2])
def test_a_run_that_ends_by_itself_is_not_called_stopped(epochs, tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="imgrec"):
        fit(tmp_path, callbacks=[stopping(patience=9)], epochs=epochs)
    assert "Stopped early" not in caplog.text
