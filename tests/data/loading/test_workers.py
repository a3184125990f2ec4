"""How many processes read the images."""

import logging

import numpy as np
import pytest

from imgrec.core.system.hardware import num_processors
from imgrec.data.loading import workers
from imgrec.data.loading.dataset import ImageDataset
from imgrec.data.loading.workers import Choice, fastest_workers, usual_workers
from small_run import Noise, noise


def dataset() -> ImageDataset:
    return ImageDataset(noise("train", 40), preprocess=lambda image: image)


Speeds = dict[Choice, float]
NONE, ONE, TWO, FOUR = (Choice("processes", workers) for workers in (0, 1, 2, 4))
READY, THREADS = Choice("processes", 4, prefetch=4), Choice("threads", 4)


def measured(monkeypatch: pytest.MonkeyPatch, speeds: Speeds, processors: int = 4) -> Choice:
    """Let the measurement find `speeds`."""
    monkeypatch.setattr(workers, "num_processors", lambda: processors)
    monkeypatch.setattr(workers, "_speed", lambda _, choice, **__: speeds[choice])
    return fastest_workers(dataset(), batch_size=8)


def test_the_fastest_choice_is_taken(monkeypatch):
    speeds = {NONE: 100.0, ONE: 90.0, TWO: 180.0, FOUR: 300.0, READY: 280.0, THREADS: 290.0}
    assert measured(monkeypatch, speeds) == FOUR
    assert measured(monkeypatch, speeds | {READY: 400.0}) == READY
    assert measured(monkeypatch, speeds | {THREADS: 400.0}) == THREADS


def test_another_process_must_pay_for_itself(monkeypatch):
    speeds = {NONE: 100.0, ONE: 101.0, TWO: 103.0, FOUR: 104.0, READY: 104.0, THREADS: 104.0}
    assert measured(monkeypatch, speeds) == NONE


def test_one_processor_is_measured_without_and_with_a_process(monkeypatch):
    speeds = {NONE: 10.0, ONE: 30.0, Choice("processes", 1, prefetch=4): 5.0, Choice("threads", 1): 5.0}
    assert measured(monkeypatch, speeds, processors=1) == ONE


def test_the_choice_is_said_with_what_was_measured(monkeypatch, caplog):
    speeds = {NONE: 1000.0, ONE: 10.0, Choice("processes", 1, prefetch=4): 5.0, Choice("threads", 1): 7.0}
    with caplog.at_level(logging.INFO, logger="imgrec"):
        measured(monkeypatch, speeds, processors=1)
    assert "data.num_workers=auto: 0 processes." in caplog.text
    assert "0 processes: 1,000; 1 processes: 10; 1 processes with 4 batches ready: 5; 1 threads: 7" in caplog.text


@pytest.mark.parametrize("choice", [NONE, ONE, Choice("threads", 2)])
def test_a_real_measurement_reads_images(monkeypatch, choice):
    monkeypatch.setattr(workers, "MEASURED_S", 0.05)
    assert workers._speed(dataset(), choice, batch_size=4) > 0


def test_auto_is_measured_once_and_changes_no_batch(monkeypatch):
    calls = []
    monkeypatch.setattr(
        "imgrec.data.loading.datamodule.fastest_workers", lambda *_, **__: calls.append(1) or Choice("processes", 1, 3)
    )
    data, plain = Noise(num_workers="auto", batch_size=16), Noise(num_workers=0, batch_size=16)
    for batch, expected in zip(data.train_dataloader(), plain.train_dataloader(), strict=True):
        assert np.array_equal(batch["images"], expected["images"])
    loader = data.val_dataloader()
    assert (loader.num_workers, loader.prefetch_factor, calls) == (1, 3, [1])


def test_there_is_a_processor():
    assert num_processors() >= 1
    assert usual_workers(dataset()) == min(num_processors(), 8)
