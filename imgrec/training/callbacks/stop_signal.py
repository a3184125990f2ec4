"""SIGTERM and SIGINT as a wish: the handler sets a flag, and training ends itself at the next safe place."""

import os
import signal
import threading
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopSignal:
    """Listens between `listen` and `release`. `received` is the number of the first signal, or 0.

    A second signal is no wish any more: it gets the treatment that the process had before.
    """

    def __init__(self) -> None:
        self.received = 0
        self._before: dict[int, Any] = {}

    def listen(self) -> None:
        """Take over the signals; only a program's main thread may."""
        if threading.current_thread() is threading.main_thread() and not self._before:
            self._before = {number: signal.signal(number, self._handle) for number in SIGNALS}

    def release(self) -> None:
        """Give the signals back to whoever had them."""
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
