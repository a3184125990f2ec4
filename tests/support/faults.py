"""Tasks for worker processes that go wrong on request."""

import ctypes
import os
import signal
import time
from pathlib import Path


def task(item: str) -> str:
    """Return the item in capitals; or crash, hang, be killed, raise, depending on the first part of the item."""
    kind = item.split()[0]
    if kind == "segfault":
        ctypes.string_at(0)
    if kind == "exit":
        os._exit(3)
    if kind == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "killed-once":  # by something else than the item: it goes well the second time
        mark = Path(item.split()[1])
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    if kind == "hang":
        time.sleep(600)
    if kind == "raise":
        raise ValueError("no good")
    return item.upper()
