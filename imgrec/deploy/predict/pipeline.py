"""From images to logits on all processors, in order.

Each thread takes a batch all the way: it reads, decodes and prepares the images, and runs the network on them with
itself alone. Decoding of one batch goes on beside the network on another, no thread waits for company, and none spins.
All the costly parts let other threads run.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from imgrec.data.samples import UInt8Array
from imgrec.deploy.predict.item import Item
from imgrec.deploy.predict.model import Model
from imgrec.errors import DataError, ImageError

__all__ = ["Answer", "answer_all"]

_AHEAD = 2  # batches that wait beyond those that are worked at


@dataclass(frozen=True)
class Answer:
    """What became of one image: logits float32 (C,), finite, or an error."""

    name: str
    time_s: float | None
    logits: NDArray[np.float32] | None
    error: ImageError | None = None


def answer_all(items: Iterator[Item], model: Model, *, batch_size: int, threads: int) -> Iterator[list[Answer]]:
    """Yield the answers of each `batch_size` items, in order; the last batch may have fewer.

    Which images run together depends on their places alone, not on speed: the same call gives the same numbers.
    At most `threads + 2` batches are under way, so memory does not grow with the number of items. Where the model runs
    images singly, a batch is one: each is as large as it was taken.
    """
    batch_size = 1 if model.runs_singly else batch_size
    pool = ThreadPoolExecutor(threads, thread_name_prefix="predict")
    waiting: deque[Future[list[Answer]]] = deque()
    try:
        while batch := [_prepared_if_here(item, model) for item in islice(items, batch_size)]:
            waiting.append(pool.submit(_answer, batch, model))
            if len(waiting) >= threads + _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class _Job:
    name: str
    time_s: float | None
    prepare: Callable[[], UInt8Array]


def _prepared_if_here(item: Item, model: Model) -> _Job:
    """Return how to make an item what the network takes; large pixels that are here are made small at once."""
    if not item.in_memory:
        return _Job(item.name, item.time_s, partial(_prepare, item, model))
    try:
        pixels = _prepare(item, model)
    except ImageError as error:
        return _Job(item.name, item.time_s, partial(_refuse, error))
    return _Job(item.name, item.time_s, lambda: pixels)


def _refuse(error: ImageError) -> UInt8Array:
    raise error


def _prepare(item: Item, model: Model) -> UInt8Array:
    """Return an item as the network takes it. Raises: ImageError, for whatever is wrong with this image alone."""
    try:
        return model.prepare(item.open())
    except ImageError:
        raise
    except DataError as error:  # the preprocessing resizes nothing
        raise ImageError(item.name, "wrong_size", str(error)) from error
    except MemoryError as error:
        raise ImageError(item.name, "too_large", "more memory is needed to decode it than there is") from error


def _answer(batch: list[_Job], model: Model) -> list[Answer]:
    answers: list[Answer | None] = []
    images = []
    for job in batch:
        try:
            images.append(job.prepare())
            answers.append(None)
        except ImageError as error:
            answers.append(Answer(job.name, job.time_s, None, error))
    results = iter(_run(images, model))
    return [
        _checked(job, next(results)) if answer is None else answer for job, answer in zip(batch, answers, strict=True)
    ]


def _run(images: list[UInt8Array], model: Model) -> list[NDArray[np.float32] | Exception]:
    """Return the logits of each image; one that cannot be answered does not take the others along."""
    if not images:
        return []
    if len({image.shape for image in images}) == 1:
        try:
            return list(model.run(images))
        except Exception:
            if len(images) == 1:
                return [_run_one(images[0], model)]
    return [_run_one(image, model) for image in images]


def _run_one(image: UInt8Array, model: Model) -> NDArray[np.float32] | Exception:
    try:
        logits: NDArray[np.float32] = model.run([image])[0]
    # Runtimes have errors of their own, MemoryError among them: whatever it is, it is this image's.
    except Exception as error:
        return error
    return logits


def _checked(job: _Job, result: NDArray[np.float32] | Exception) -> Answer:
    if isinstance(result, Exception):
        code = "wrong_size" if isinstance(result, DataError) else "not_answered"
        error = ImageError(job.name, code, f"{type(result).__name__}: {result}")
        return Answer(job.name, job.time_s, None, error)
    if not np.isfinite(result).all():
        detail = "the network answers NaN or infinity: do not use it for this image, and mistrust it for others"
        return Answer(job.name, job.time_s, None, ImageError(job.name, "not_finite", detail))
    return Answer(job.name, job.time_s, result)
