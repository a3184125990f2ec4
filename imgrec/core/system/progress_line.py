"""One line that says how far a long job is: images done, images a second, time left."""

import time
from collections.abc import Callable
from typing import TextIO

__all__ = ["ProgressLine"]

_EVERY_S = 0.2  # on a terminal
_EVERY_S_IN_A_LOG = 10.0


class ProgressLine:
    """Writes to a terminal over and over the same line, to anything else a line now and then."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic, *, unit: str = "images") -> None:
        self._stream = stream
        self._clock = clock
        self._unit = unit
        self._is_terminal = stream.isatty()
        self._start = self._last = clock()
        self._width = 0

    def update(self, done: int, total: int | None, *, before: int = 0) -> None:
        """Tell that `done` of `total` are done: images, or what `unit` calls them.

        total: None where nobody knows. before: how many of them were done before this line was begun.
        """
        now = self._clock()
        pause = _EVERY_S if self._is_terminal else _EVERY_S_IN_A_LOG
        is_last = total is not None and done >= total
        if now - self._last < pause and not (is_last and self._is_terminal):
            return
        self._last = now
        rate = (done - before) / max(now - self._start, 1e-9)
        of = "" if total is None else f" of {total:,}"
        left = "" if total is None or is_last or not rate else f", {_duration((total - done) / rate)} left"
        self._write(f"{done:,}{of} {self._unit}, {rate:,.0f}/s{left}")

    def say(self, text: str) -> None:
        """Tell what is done next; the rate and the time left count from here."""
        self._start = self._clock()
        self._write(f"{text} ...")

    def close(self) -> None:
        """Take the line away from the terminal."""
        if self._width:
            self._stream.write(f"\r{' ' * self._width}\r")
            self._stream.flush()
            self._width = 0

    def _write(self, text: str) -> None:
        if self._is_terminal:
            self._stream.write(f"\r{text.ljust(self._width)}")
            self._width = len(text)
        else:
            self._stream.write(f"{text}\n")
        self._stream.flush()


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
