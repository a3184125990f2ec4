"""Latency and throughput of several models, interleaved so that other load on the machine affects all alike."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from imgrec.data.samples import UInt8Array

__all__ = ["Contender", "Measured", "measure"]

_CALLS = 10  # with one image, per round
_WARM_UP = 3
_SETTLE_S = 0.1  # until the threads of the previous model have stopped spinning


@dataclass(frozen=True)
class Contender:
    """A model in one runtime.

    Attributes:
        name: Of the row.
        run: Images uint8 (N, H, W, 3) -> logits.
        height_width: Of the images.
        size_bytes: Of its file.
    """

    name: str
    run: Callable[[UInt8Array], Any]
    height_width: tuple[int, int]
    size_bytes: int


@dataclass
class Measured:
    """Times of one contender, in seconds: of calls with one image, and of calls with a batch."""

    contender: Contender
    batch_size: int
    singles: list[float] = field(default_factory=list)
    batches: list[float] = field(default_factory=list)

    @property
    def latency_ms(self) -> float:
        """Median time for one image."""
        return 1000 * statistics.median(self.singles)

    @property
    def latency_p95_ms(self) -> float:
        """95th percentile of the time for one image."""
        return 1000 * float(np.quantile(self.singles, 0.95))

    @property
    def throughput(self) -> float:
        """Images per second in batches, from the median time of a batch."""
        return self.batch_size / statistics.median(self.batches)

    def to_dict(self, base: "Measured") -> dict[str, Any]:
        """Return plain values; ratios above 1 are better than `base`."""
        return {
            "name": self.contender.name,
            "size_bytes": self.contender.size_bytes,
            "latency_ms": {"median": self.latency_ms, "p95": self.latency_p95_ms},
            "throughput_images_s": self.throughput,
            "latency_ratio": base.latency_ms / self.latency_ms,
            "throughput_ratio": self.throughput / base.throughput,
        }


def measure(
    contenders: Sequence[Contender],
    *,
    rounds: int,
    batch_size: int,
    progress: Callable[[int, int], None],
    say: Callable[[str], None] = lambda _step: None,
) -> list[Measured]:
    """Run all contenders in turn, `rounds` times, on noise: the content of an image does not change the time.

    Args:
        contenders: The models.
        rounds: Turns of each.
        batch_size: For the throughput.
        progress: Called with the rounds done and their number.
        say: Called before each contender runs for the first time, which may compile it for minutes.
    """
    random = np.random.default_rng(1)
    results = [Measured(contender, batch_size) for contender in contenders]
    pixels = [random.integers(0, 256, (batch_size, *c.height_width, 3), dtype=np.uint8) for c in contenders]
    for result, images in zip(results, pixels, strict=True):
        say(f"Warming up {result.contender.name}")
        for _ in range(_WARM_UP):
            result.contender.run(images[:1])
        result.contender.run(images)
    say("Measuring")
    for done in range(rounds):
        for result, images in zip(results, pixels, strict=True):
            time.sleep(_SETTLE_S)
            result.contender.run(images[:1])  # the caches hold the weights of another model
            result.singles += [_seconds(result.contender, images[:1]) for _ in range(_CALLS)]
            result.batches.append(_seconds(result.contender, images))
        progress(done + 1, rounds)
    return results


def _seconds(contender: Contender, images: UInt8Array) -> float:
    start = time.perf_counter()
    contender.run(images)
    return time.perf_counter() - start
