"""A progress line for long jobs: images done, images per second, time left."""

import time
from collections.abc import Callable
from typing import TextIO

__all__ = ["ProgressLine"]

_EVERY_S = 0.2  # on a terminal
_EVERY_S_IN_A_LOG = 10.0


class ProgressLine:
    """Rewrites one line of a terminal; to anything else it writes a line every few seconds.

    Args:
        stream: Where to write, usually sys.stderr.
        clock: Returns seconds; for tests.
        unit: What is counted.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic, *, unit: str = "images") -> None:
        self._stream = stream
        self._clock = clock
        self._unit = unit
        self._is_terminal = stream.isatty()
        self._start = self._last = clock()
        self._width = 0

    def update(self, done: int, total: int | None, *, before: int = 0) -> None:
        """Show progress.

        Args:
            done: Units done.
            total: Units in all; None: unknown.
            before: How many of `done` were done before this line began; they do not count for the rate.
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
        """Show what is done next; rate and time left count from here."""
        self._start = self._clock()
        self._write(f"{text} ...")

    def close(self) -> None:
        """Clear the line on the terminal."""
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
