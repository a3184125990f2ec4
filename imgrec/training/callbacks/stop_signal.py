"""SIGTERM and SIGINT set a flag, and training stops at the next place where a checkpoint can be written."""

import os
import signal
import threading
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopSignal:
    """Handles the signals between `listen` and `release`; a second signal ends the process at once.

    Attributes:
        received: Number of the first signal, or 0.
    """

    def __init__(self) -> None:
        self.received = 0
        self._before: dict[int, Any] = {}

    def listen(self) -> None:
        """Install the handlers; Python allows it in the main thread only."""
        if threading.current_thread() is threading.main_thread() and not self._before:
            self._before = {number: signal.signal(number, self._handle) for number in SIGNALS}

    def release(self) -> None:
        """Restore the handlers of before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del frame
        if not self.received:
            self.received = number
            return
        self._before = {}
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
