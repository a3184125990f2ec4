"""Outputs of many images: in order, independent of each other, with a few batches in memory."""

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from imgrec.data.images.lazy_image import DecodedImage
from imgrec.deploy.predict.item import Item, bad_item
from imgrec.deploy.predict.pipeline import Output, predict_items, run_batches
from imgrec.errors import DataError, ImageError
from imgrec.evaluation.decisions import Decisions


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


def computed(items: list[Item], *, batch_size: int = 4, threads: int = 3, model: Means | None = None) -> list[Output]:
    batches = run_batches(iter(items), model or Means(), batch_size=batch_size, threads=threads)
    return [output for batch in batches for output in batch]


def test_images_that_run_whole_are_never_held_as_a_batch():
    model = Means(runs_singly=True)
    opened: list[int] = []
    items = [item(number) for number in range(20)]
    watched = [
        Item(one.name, lambda one=one, place=place: opened.append(place) or one.open())
        for place, one in enumerate(items)
    ]
    first = next(run_batches(iter(watched), model, batch_size=100, threads=1))
    assert len(first) == 1
    assert len(opened) <= 1 + 2 + 1
    assert set(model.batches) == {1}


@pytest.mark.parametrize("batch_size", [1, 4, 100])
@pytest.mark.parametrize("threads", [1, 3])
def test_outputs_are_in_order_whatever_is_slow(batch_size, threads):
    items = [item(number, slow_s=0.02 if number % 7 == 0 else 0) for number in range(22)]
    outputs = computed(items, batch_size=batch_size, threads=threads)
    assert [output.known["path"] for output in outputs] == [str(number) for number in range(22)]
    assert [int(output.logits[0]) for output in outputs if output.logits is not None] == list(range(22))


def test_a_bad_image_does_not_affect_the_others():
    items = [item(0), bad_item("bad", "truncated", "it ends"), item(2, size=9), item(3, value=250), item(4, value=240)]
    outputs = computed([*items, item(5)], batch_size=6)
    codes = [output.error.code if output.error else "ok" for output in outputs]
    assert codes == ["ok", "truncated", "wrong_size", "model_failed", "not_finite", "ok"]
    assert outputs[3].error is not None
    assert outputs[3].error.detail == "RuntimeError: poison"


def test_images_of_several_sizes_run_one_by_one():
    outputs = computed([item(0), item(1, size=16), item(2)])
    assert [int(output.logits[0]) for output in outputs if output.logits is not None] == [0, 1, 2]


def test_an_image_that_needs_too_much_memory_is_an_error():
    def read() -> DecodedImage:
        raise MemoryError

    (output,) = computed([Item("big", read)])
    assert output.error is not None
    assert output.error.code == "too_large"


def test_decoded_pixels_are_preprocessed_before_they_wait():
    opened = []

    def read() -> DecodedImage:
        opened.append(threading.current_thread() is threading.main_thread())
        if len(opened) == 2:
            raise ImageError("1", "too_small", "tiny")
        return DecodedImage(np.zeros((8, 8, 3), dtype=np.uint8))

    outputs = computed([Item(str(number), read, time_s=number / 2, in_memory=True) for number in range(3)])
    assert opened == [True, True, True]
    assert [output.error is None for output in outputs] == [True, False, True]
    assert [output.known["time_s"] for output in outputs] == [0.0, 0.5, 1.0]


def test_no_more_batches_are_under_way_than_threads_and_two():
    taken = 0

    def items() -> Iterator[Item]:
        nonlocal taken
        for number in range(100):
            taken += 1
            yield item(number)

    batches = run_batches(items(), Means(), batch_size=5, threads=2)
    for done in range(1, 5):
        next(batches)
        assert taken <= (done + 3) * 5
    batches.close()


def test_batches_are_filled_and_cut_by_place_alone():
    model = Means()
    computed([item(number) for number in range(10)], batch_size=4, threads=1, model=model)
    assert model.batches == [4, 4, 2]


def test_each_item_gives_one_prediction_in_order():
    class Classifier(Means):
        decisions = Decisions("single", ("red", "green", "blue"))

    items = [item(1, frame=7, time_s=0.5), bad_item("bad", "truncated", "it ends"), item(3)]
    found = list(predict_items(iter(items), Classifier(), batch_size=2, threads=1, top_k=2))
    assert [(one.path, one.frame, one.time_s) for one in found] == [
        ("1", 7, 0.5),
        ("bad", None, None),
        ("3", None, None),
    ]
    assert [(one.prediction, one.error, one.detail) for one in found] == [
        ("red", None, None), (None, "truncated", "it ends"), ("red", None, None)
    ]  # fmt: skip
    assert len(found[0].probabilities) == 2


def test_nothing_gives_nothing():
    assert computed([]) == []


def test_an_error_that_is_not_of_the_image_is_raised():
    def read() -> DecodedImage:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        computed([item(0), Item("1", read)])
