"""How many processes read the pictures: by a rule, or by a short measurement."""

import logging
import os
import time

from imgrec.data.dataset import ImageDataset
from imgrec.data.loader import make_loader
from imgrec.data.sampler import KeyedBatchSampler

__all__ = ["fastest_workers", "usual_workers"]

log = logging.getLogger("imgrec")

MAX_WORKERS = 8
MEASURED_S = 1.5  # of each choice, after its first batch
GAIN = 1.05  # another process must pay for its memory


def num_processors() -> int:
    """Return the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usual_workers(dataset: ImageDataset) -> int:
    """Return a process per processor, 8 at most; none for pictures in memory, which cost more to move than to read."""
    return 0 if getattr(dataset.samples.images, "in_memory", False) else min(num_processors(), MAX_WORKERS)


def fastest_workers(dataset: ImageDataset, *, batch_size: int) -> tuple[int, int]:
    """Measure reading for some seconds; return the number of loader processes and of batches that each has ready.

    Only reading is measured: on a CPU that also trains, fewer processes may do.
    """
    most = min(num_processors(), MAX_WORKERS)
    best, speed = (0, 2), _speed(dataset, batch_size=batch_size, num_workers=0, prefetch=2)
    found = [f"0: {speed:,.0f}"]
    choices = [(workers, 2) for workers in sorted({1, most // 2, most} - {0})]
    for workers, prefetch in [*choices, (most, 4)]:
        new = _speed(dataset, batch_size=batch_size, num_workers=workers, prefetch=prefetch)
        found.append(f"{workers}{'' if prefetch == 2 else f' with {prefetch} batches ready'}: {new:,.0f}")
        if new > GAIN * speed:
            best, speed = (workers, prefetch), new
    log.info("data.num_workers=auto: %d, data.prefetch=%d. Pictures/s by processes: %s", *best, "; ".join(found))
    return best


def _speed(dataset: ImageDataset, *, batch_size: int, num_workers: int, prefetch: int) -> float:
    """Return pictures per second over `MEASURED_S`, beginning with the second batch."""
    sampler = KeyedBatchSampler(len(dataset), batch_size=min(batch_size, max(1, len(dataset) // 2)))
    loader = make_loader(dataset, sampler, num_workers=num_workers, prefetch=prefetch)
    batches = iter(loader)
    next(batches)
    num_pictures, start = 0, time.perf_counter()
    for batch in batches:
        if isinstance(batch, dict):  # what cannot be read is said when training meets it
            num_pictures += len(batch["indices"])
        if time.perf_counter() - start > MEASURED_S:
            break
    seconds = time.perf_counter() - start
    loader.end_workers()
    return num_pictures / max(seconds, 1e-9)
