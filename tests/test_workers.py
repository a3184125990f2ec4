"""How many processes read the pictures."""

import logging
from typing import Any

import numpy as np
import pytest
from small_run import Noise, noise

from imgrec.data import workers
from imgrec.data.dataset import ImageDataset
from imgrec.data.workers import fastest_workers, num_processors, usual_workers


def dataset() -> ImageDataset:
    return ImageDataset(noise("train", 40), preprocess=lambda image: image)


def measured(monkeypatch: pytest.MonkeyPatch, speeds: dict[tuple[int, int], float], processors: int = 4) -> Any:
    """Let the measurement find `speeds` by (processes, batches ready)."""
    monkeypatch.setattr(workers, "num_processors", lambda: processors)
    monkeypatch.setattr(workers, "_speed", lambda *_, num_workers, prefetch, **__: speeds[num_workers, prefetch])
    return fastest_workers(dataset(), batch_size=8)


def test_the_fastest_choice_is_taken(monkeypatch):
    speeds = {(0, 2): 100.0, (1, 2): 90.0, (2, 2): 180.0, (4, 2): 300.0, (4, 4): 280.0}
    assert measured(monkeypatch, speeds) == (4, 2)
    assert measured(monkeypatch, speeds | {(4, 4): 400.0}) == (4, 4)


def test_another_process_must_pay_for_itself(monkeypatch):
    speeds = {(0, 2): 100.0, (1, 2): 101.0, (2, 2): 103.0, (4, 2): 104.0, (4, 4): 104.0}
    assert measured(monkeypatch, speeds) == (0, 2)


def test_one_processor_is_measured_without_and_with_a_process(monkeypatch):
    assert measured(monkeypatch, {(0, 2): 10.0, (1, 2): 30.0, (1, 4): 5.0}, processors=1) == (1, 2)


def test_the_choice_is_said_with_what_was_measured(monkeypatch, caplog):
    with caplog.at_level(logging.INFO, logger="imgrec"):
        measured(monkeypatch, {(0, 2): 1000.0, (1, 2): 10.0, (1, 4): 5.0}, processors=1)
    assert "data.num_workers=auto: 0, data.prefetch=2" in caplog.text
    assert "0: 1,000; 1: 10; 1 with 4 batches ready: 5" in caplog.text


def test_a_real_measurement_reads_pictures(monkeypatch):
    monkeypatch.setattr(workers, "MEASURED_S", 0.05)
    assert workers._speed(dataset(), batch_size=4, num_workers=0, prefetch=2) > 0
    assert workers._speed(dataset(), batch_size=4, num_workers=1, prefetch=2) > 0


def test_auto_is_measured_once_and_changes_no_batch(monkeypatch):
    calls = []
    monkeypatch.setattr("imgrec.data.datamodule.fastest_workers", lambda *_, **__: calls.append(1) or (1, 3))
    data, plain = Noise(num_workers="auto", batch_size=16), Noise(num_workers=0, batch_size=16)
    for batch, expected in zip(data.train_dataloader(), plain.train_dataloader(), strict=True):
        assert np.array_equal(batch["images"], expected["images"])
    loader = data.val_dataloader()
    assert (loader.num_workers, loader.prefetch_factor, calls) == (1, 3, [1])


def test_there_is_a_processor():
    assert num_processors() >= 1
    assert usual_workers(dataset()) == min(num_processors(), 8)
