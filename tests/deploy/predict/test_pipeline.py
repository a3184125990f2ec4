"""Many images to answers: in order, each by itself, and no more in memory than a few batches."""

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from imgrec.data.images.lazy_image import DecodedImage
from imgrec.deploy.predict.item import Item, bad_item
from imgrec.deploy.predict.pipeline import Answer, answer_all
from imgrec.errors import DataError, ImageError


class Means:
    """Logits: the mean of each channel. Refuses what a test asks for."""

    def __init__(self, *, runs_singly: bool = False) -> None:
        self.runs_singly = runs_singly
        self.batches: list[int] = []
        self.lock = threading.Lock()

    def prepare(self, image: DecodedImage) -> np.ndarray:
        pixels = image.pixels()
        if pixels.shape[0] == 9:
            raise DataError("9 px, and nothing is resized")
        return pixels

    def run(self, images: list[np.ndarray]) -> np.ndarray:
        with self.lock:
            self.batches.append(len(images))
        batch = np.stack(images)
        if (batch == 250).any():
            raise RuntimeError("poison")
        logits = batch.astype(np.float32).mean(axis=(1, 2))
        logits[logits == 240] = np.nan
        return logits


def item(number: int, *, value: int | None = None, size: int = 8, slow_s: float = 0.0, **more: object) -> Item:
    def read() -> DecodedImage:
        time.sleep(slow_s)
        return DecodedImage(np.full((size, 8, 3), number if value is None else value, dtype=np.uint8))

    return Item(str(number), read, **more)


def answered(items: list[Item], *, batch_size: int = 4, threads: int = 3, model: Means | None = None) -> list[Answer]:
    batches = answer_all(iter(items), model or Means(), batch_size=batch_size, threads=threads)
    return [answer for batch in batches for answer in batch]


def test_images_that_run_whole_are_never_held_as_a_batch():
    model = Means(runs_singly=True)
    opened: list[int] = []
    items = [item(number) for number in range(20)]
    watched = [
        Item(one.name, lambda one=one, place=place: opened.append(place) or one.open())
        for place, one in enumerate(items)
    ]
    first = next(answer_all(iter(watched), model, batch_size=100, threads=1))
    assert len(first) == 1
    assert len(opened) <= 1 + 2 + 1
    assert set(model.batches) == {1}


@pytest.mark.parametrize("batch_size", [1, 4, 100])
@pytest.mark.parametrize("threads", [1, 3])
def test_answers_are_in_order_whatever_is_slow(batch_size, threads):
    items = [item(number, slow_s=0.02 if number % 7 == 0 else 0) for number in range(22)]
    answers = answered(items, batch_size=batch_size, threads=threads)
    assert [answer.name for answer in answers] == [str(number) for number in range(22)]
    assert [int(answer.logits[0]) for answer in answers if answer.logits is not None] == list(range(22))


def test_a_bad_image_takes_no_other_along():
    items = [item(0), bad_item("bad", "truncated", "it ends"), item(2, size=9), item(3, value=250), item(4, value=240)]
    answers = answered([*items, item(5)], batch_size=6)
    codes = [answer.error.code if answer.error else "ok" for answer in answers]
    assert codes == ["ok", "truncated", "wrong_size", "not_answered", "not_finite", "ok"]
    assert answers[3].error is not None
    assert answers[3].error.detail == "RuntimeError: poison"


def test_images_of_several_sizes_run_one_by_one():
    answers = answered([item(0), item(1, size=16), item(2)])
    assert [int(answer.logits[0]) for answer in answers if answer.logits is not None] == [0, 1, 2]


def test_an_image_that_needs_more_memory_than_there_is_is_a_row():
    def read() -> DecodedImage:
        raise MemoryError

    (answer,) = answered([Item("big", read)])
    assert answer.error is not None
    assert answer.error.code == "too_large"


def test_pixels_that_are_in_memory_are_made_small_before_they_wait():
    opened = []

    def read() -> DecodedImage:
        opened.append(threading.current_thread() is threading.main_thread())
        if len(opened) == 2:
            raise ImageError("1", "too_small", "tiny")
        return DecodedImage(np.zeros((8, 8, 3), dtype=np.uint8))

    answers = answered([Item(str(number), read, time_s=number / 2, in_memory=True) for number in range(3)])
    assert opened == [True, True, True]
    assert [answer.error is None for answer in answers] == [True, False, True]
    assert [answer.time_s for answer in answers] == [0.0, 0.5, 1.0]


def test_no_more_batches_are_under_way_than_threads_and_two():
    taken = 0

    def items() -> Iterator[Item]:
        nonlocal taken
        for number in range(100):
            taken += 1
            yield item(number)

    batches = answer_all(items(), Means(), batch_size=5, threads=2)
    for done in range(1, 5):
        next(batches)
        assert taken <= (done + 3) * 5
    batches.close()


def test_batches_are_filled_and_cut_by_place_alone():
    model = Means()
    answered([item(number) for number in range(10)], batch_size=4, threads=1, model=model)
    assert model.batches == [4, 4, 2]


def test_nothing_gives_nothing():
    assert answered([]) == []


def test_a_fault_of_ours_ends_it():
    def read() -> DecodedImage:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        answered([item(0), Item("1", read)])
