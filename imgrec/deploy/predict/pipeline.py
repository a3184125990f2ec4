"""Predictions for many images on all processors, in order.

Each thread takes a whole batch: it reads, decodes and preprocesses the images and runs the model on one processor.
Decoding of one batch thus overlaps with the forward pass of another; all of these steps release the GIL.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.data.samples import UInt8Array
from imgrec.deploy.predict.item import Item
from imgrec.deploy.predict.model import Model
from imgrec.errors import DataError, ImageError
from imgrec.evaluation.decisions import Decisions, Prediction

__all__ = ["Output", "predict_items", "run_batches", "to_predictions"]

_AHEAD = 2  # batches that wait beyond those that are computed


@dataclass(frozen=True)
class Output:
    """Of one image: logits float32 (C,), finite, or an error; `known` has its path, frame and time_s."""

    known: Mapping[str, Any]
    logits: NDArray[np.float32] | None
    error: ImageError | None = None


def predict_items(
    items: Iterator[Item], model: Model, *, batch_size: int, threads: int, top_k: int | None
) -> Iterator[Prediction]:
    """Yield one prediction per item, in order; one whose image cannot be used has `error` and `detail`.

    Args:
        items: Read as the predictions are taken, at most `threads + 2` batches ahead.
        model: An open bundle or checkpoint.
        batch_size: Images run at once.
        threads: Batches computed at the same time.
        top_k: How many classes `probabilities` holds; None for all.
    """
    for outputs in run_batches(items, model, batch_size=batch_size, threads=threads):
        yield from to_predictions(outputs, model.decisions, top_k=top_k)


def to_predictions(outputs: Sequence[Output], decisions: Decisions, *, top_k: int | None) -> Iterator[Prediction]:
    """Yield a prediction for each output, with `top_k` classes in `probabilities` (None for all)."""
    found = [output.logits for output in outputs if output.logits is not None]
    decided = decisions.decide(np.stack(found) if found else np.empty((0, len(decisions.class_names))))
    place = 0
    for output in outputs:
        if output.error is not None:
            yield Prediction(**output.known, error=output.error.code, detail=output.error.detail)
        else:
            yield decided.prediction(place, top_k=top_k, **output.known)
            place += 1


def run_batches(items: Iterator[Item], model: Model, *, batch_size: int, threads: int) -> Iterator[list[Output]]:
    """Yield the outputs of each `batch_size` items, in order; the last batch may have fewer.

    Which images run together depends on their positions alone, not on speed: the same call gives the same numbers.
    At most `threads + 2` batches are under way, so memory does not grow with the number of items. A model that runs
    images singly gets batches of one, since its images are not resized before they wait.
    """
    batch_size = 1 if model.runs_singly else batch_size
    pool = ThreadPoolExecutor(threads, thread_name_prefix="predict")
    waiting: deque[Future[list[Output]]] = deque()
    try:
        while batch := [_Job.of(item, model) for item in islice(items, batch_size)]:
            waiting.append(pool.submit(_run_batch, batch, model))
            if len(waiting) >= threads + _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class _Job:
    """An item without its pixels, which may be large."""

    known: Mapping[str, Any]
    prepare: Callable[[], UInt8Array]

    @classmethod
    def of(cls, item: Item, model: Model) -> "_Job":
        return cls({"path": item.name, "frame": item.frame, "time_s": item.time_s}, _preparation(item, model))


def _preparation(item: Item, model: Model) -> Callable[[], UInt8Array]:
    """Return a function that preprocesses an item; one whose pixels are decoded already is preprocessed here."""
    if not item.in_memory:
        return partial(_prepare, item, model)
    try:
        pixels = _prepare(item, model)
    except ImageError as error:
        return partial(_refuse, error)
    return lambda: pixels


def _refuse(error: ImageError) -> UInt8Array:
    raise error


def _prepare(item: Item, model: Model) -> UInt8Array:
    """Return an item as `Model.run` takes it.

    Raises:
        ImageError: Whatever is wrong with this image alone.
    """
    try:
        return model.prepare(item.open())
    except ImageError:
        raise
    except DataError as error:  # the preprocessing resizes nothing
        raise ImageError(item.name, "wrong_size", str(error)) from error
    except MemoryError as error:
        raise ImageError(item.name, "too_large", "decoding it needs more memory than there is") from error


def _run_batch(batch: list[_Job], model: Model) -> list[Output]:
    errors: list[ImageError | None] = []
    images = []
    for job in batch:
        try:
            images.append(job.prepare())
            errors.append(None)
        except ImageError as error:
            errors.append(error)
    results = iter(_run(images, model))
    return [
        _checked(job.known, next(results)) if error is None else Output(job.known, None, error)
        for job, error in zip(batch, errors, strict=True)
    ]


def _run(images: list[UInt8Array], model: Model) -> list[NDArray[np.float32] | Exception]:
    """Return the logits of each image; where a batch fails, its images are run one by one."""
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
    # Runtimes have errors of their own, MemoryError among them: whatever it is, it belongs to this image.
    except Exception as error:
        return error
    return logits


def _checked(known: Mapping[str, Any], result: NDArray[np.float32] | Exception) -> Output:
    if isinstance(result, Exception):
        code = "wrong_size" if isinstance(result, DataError) else "model_failed"
        return Output(known, None, ImageError(known["path"], code, f"{type(result).__name__}: {result}"))
    if not np.isfinite(result).all():
        detail = "the model gives NaN or infinity for this image; check the model before you trust its other outputs"
        return Output(known, None, ImageError(known["path"], "not_finite", detail))
    return Output(known, result)
