"""Tasks for worker processes that go wrong on request."""

import ctypes
import os
import signal
import time
from pathlib import Path


def task(item: str) -> str:
    """Return the item in capitals; or crash, hang, be killed, raise, as its first word says."""
    word = item.split()[0]
    if word == "segfault":
        ctypes.string_at(0)
    if word == "exit":
        os._exit(3)
    if word == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if word == "killed-once":  # by something else than the item: it goes well the second time
        mark = Path(item.split()[1])
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    if word == "hang":
        time.sleep(600)
    if word == "raise":
        raise ValueError("no good")
    return item.upper()
