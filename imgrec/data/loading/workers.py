"""The number and kind of workers: by a rule, or by a short measurement."""

import logging
import time
from dataclasses import dataclass
from typing import Literal

from imgrec.core.system.hardware import num_processors
from imgrec.data.loading.dataset import ImageDataset
from imgrec.data.loading.loader import make_loader
from imgrec.data.loading.sampler import KeyedBatchSampler

__all__ = ["Choice", "fastest_workers", "usual_workers"]

log = logging.getLogger("imgrec")

MAX_WORKERS = 8
MEASURED_S = 1.5  # of each choice, after its first batch
GAIN = 1.05  # what more workers must gain, as they take memory


def usual_workers(dataset: ImageDataset) -> int:
    """Return one worker per processor, 8 at most; none for images in memory, which cost more to move than to read."""
    return 0 if getattr(dataset.samples.images, "in_memory", False) else min(num_processors(), MAX_WORKERS)


def fastest_workers(dataset: ImageDataset, *, batch_size: int) -> "Choice":
    """Measure the loading speed of several choices for some seconds each, and return the fastest.

    Only loading is measured: on a CPU that also trains, fewer may suffice.
    """
    most = min(num_processors(), MAX_WORKERS)
    choices = [Choice("processes", workers) for workers in sorted({0, 1, most // 2, most})]
    choices += [Choice("processes", most, prefetch=4), Choice("threads", most)]
    best, found = choices[0], {}
    for choice in choices:
        found[choice] = _speed(dataset, choice, batch_size=batch_size)
        if found[choice] > GAIN * found[best]:
            best = choice
    log.info(
        "data.num_workers=auto: %s. Images/s: %s", best, "; ".join(f"{c}: {speed:,.0f}" for c, speed in found.items())
    )
    return best


@dataclass(frozen=True)
class Choice:
    """Kind and number of workers (0: none), and the batches that each has ready."""

    workers: Literal["processes", "threads"]
    num_workers: int
    prefetch: int = 2

    def __str__(self) -> str:
        ready = "" if self.prefetch == 2 else f" with {self.prefetch} batches ready"
        return f"{self.num_workers} {self.workers}{ready}"


def _speed(dataset: ImageDataset, choice: Choice, *, batch_size: int) -> float:
    """Return images per second over `MEASURED_S`, beginning with the second batch."""
    sampler = KeyedBatchSampler(len(dataset), batch_size=min(batch_size, max(1, len(dataset) // 2)))
    loader = make_loader(
        dataset,
        sampler,
        num_workers=choice.num_workers,
        threads=choice.workers == "threads",
        prefetch=choice.prefetch,
    )
    batches = iter(loader)
    next(batches)
    num_images, start = 0, time.perf_counter()
    for batch in batches:
        if isinstance(batch, dict):  # errors are reported when training meets them
            num_images += len(batch["indices"])
        if time.perf_counter() - start > MEASURED_S:
            break
    seconds = time.perf_counter() - start
    loader.end_workers()
    return num_images / max(seconds, 1e-9)
