"""Loaders whose processes hang, die, or meet what cannot be read."""

import os
import signal
import time
from threading import Event
from typing import Any

import numpy as np
import pytest

from imgrec.data.loading.dataset import ImageDataset
from imgrec.data.loading.loader import make_loader
from imgrec.data.loading.sampler import EvalBatchSampler
from imgrec.data.samples import Samples, UInt8Array
from imgrec.errors import DataError, ImageError
from small_run import NUM_CLASSES, Noise


class Trouble:
    """Twelve images; number 5 calls `act` instead."""

    def __init__(self, act: Any) -> None:
        self.act = act

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> UInt8Array:
        if index == 5:
            self.act()
        return np.full((8, 8, 3), index, dtype=np.uint8)


def samples(act: Any) -> Samples:
    labels = np.arange(12, dtype=np.int64) % NUM_CLASSES
    return Samples([f"p{i}" for i in range(12)], Trouble(act), labels)


def unreadable() -> None:
    raise ImageError("p5", "truncated", "the file ends early")


def loader(act: Any, *, strict: bool = True, **options: Any) -> Any:
    dataset = ImageDataset(samples(act), preprocess=lambda image: image, strict=strict)
    return make_loader(dataset, EvalBatchSampler(12, batch_size=4), **{"num_workers": 1, **options})


def test_a_process_that_hangs_ends_the_epoch_after_the_timeout_and_is_killed():
    hanging = loader(lambda: time.sleep(1000), timeout_s=1)
    with pytest.raises(RuntimeError, match="timed out after 1"):
        list(hanging)
    (worker,) = hanging._iterator._workers
    hanging.end_workers()
    worker.join(timeout=20)
    assert not worker.is_alive()


def test_a_process_that_is_killed_ends_the_epoch():
    with pytest.raises(RuntimeError, match="DataLoader worker"):
        list(loader(lambda: os.kill(os.getpid(), signal.SIGKILL), timeout_s=60))


def test_a_thread_that_hangs_ends_the_epoch_after_the_timeout():
    done = Event()
    with pytest.raises(RuntimeError, match=r"timed out after 0\.2"):
        list(loader(done.wait, timeout_s=0.2, threads=True))
    done.set()


def test_an_error_in_a_thread_is_raised_where_the_batches_are_taken():
    def fault() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(loader(fault, threads=True))


def test_threads_give_batches_in_order_and_end_when_told():
    reading = loader(lambda: time.sleep(0.1), threads=True, num_workers=3)
    for _ in range(2):
        assert [batch["indices"].tolist() for batch in reading] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    threads = list(reading._threads)
    reading.end_workers()
    for thread in threads:
        thread.join(timeout=20)
    assert not any(thread.is_alive() for thread in threads)


def test_threads_whose_batches_are_left_do_not_make_the_rest():
    made: list[int] = []
    reading = loader(lambda: made.append(5), threads=True, num_workers=1, prefetch=1)
    batches = iter(reading)
    next(batches)
    batches.close()
    reading.end_workers()
    assert made in ([], [5])


def test_without_processes_there_is_nothing_to_wait_for():
    assert len(list(loader(lambda: None, num_workers=0, timeout_s=1))) == 3


@pytest.mark.parametrize(("num_workers", "threads"), [(0, False), (1, False), (2, True)])
def test_an_image_that_cannot_be_read_is_left_out_and_told(num_workers, threads):
    batches = list(loader(unreadable, strict=False, num_workers=num_workers, threads=threads))
    assert [batch["indices"].tolist() for batch in batches] == [[0, 1, 2, 3], [4, 6, 7], [8, 9, 10, 11]]
    assert batches[1]["images"][:, 0, 0, 0].tolist() == [4, 6, 7]
    assert batches[1]["labels"].tolist() == [1, 0, 1]
    assert [error.code for error in batches[1]["excluded"]] == ["truncated"]
    assert "excluded" not in batches[0]


def test_where_scores_are_reported_one_such_image_is_an_error():
    assert isinstance(list(loader(unreadable, num_workers=0))[1], ImageError)


def test_a_batch_of_nothing_but_such_images_is_an_error():
    dataset = ImageDataset(samples(unreadable), preprocess=lambda image: image, strict=False)
    error = dataset[[(5, 0)]]
    assert isinstance(error, DataError)
    assert "None of the 1 images of a batch can be read, the first: p5" in str(error)


class WithTrouble(Noise):
    """Noise with one training image that cannot be read."""

    def read(self, class_names: Any) -> Any:
        splits = super().read(class_names)
        return type(splits)(splits.class_names, train=samples(unreadable), val=splits.val, test=splits.test)


def test_the_data_module_counts_what_was_left_out_once():
    data = WithTrouble(max_bad=1, batch_size=4, num_workers=0)
    for epoch in range(2):
        loader = data.train_dataloader()
        loader.sampler.set_epoch(epoch)
        seen = [data.on_before_batch_transfer(batch, 0) for batch in loader]
        assert sum(len(batch["indices"]) for batch in seen) == 11
        assert not any("excluded" in batch for batch in seen)
    assert len(data.quarantine) == 1


def test_the_data_module_ends_the_run_when_there_are_too_many():
    data = WithTrouble(batch_size=4, num_workers=0)
    with pytest.raises(DataError, match="1 of 12 train images cannot be used"):
        for batch in data.train_dataloader():
            data.on_before_batch_transfer(batch, 0)
