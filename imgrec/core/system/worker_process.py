"""A worker process: does one task after another until told to stop, and may die doing it (`imgrec.core.system.worker_pool`)."""

import os
import signal
import sys
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection

__all__ = ["READY", "serve"]

READY = "ready"
# Longer than the limit that the other side keeps: it only makes sure that no hung process outlives its parent.
GRACE_S = 10.0


def serve(connection: Connection, module: str, function: str, timeout_s: float) -> None:
    """Answer each list of (key, item) with one (key, result, error) an item, in their order, until the other side ends.

    `error` is "" or what the task raised, which is then a fault of ours or a lack of memory, not of the item.
    """
    task = getattr(import_module(module), function)
    connection.send(READY)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # C libraries complain there, in words that name no file
    while True:
        for key, item in connection.recv():
            # The default action of SIGALRM ends the process even inside a C library.
            signal.setitimer(signal.ITIMER_REAL, timeout_s + GRACE_S)
            try:
                answer = key, task(item), ""
            except Exception as error:
                answer = key, None, f"{type(error).__name__}: {error}"
            connection.send(answer)
            signal.setitimer(signal.ITIMER_REAL, 0)


def _main() -> None:
    descriptor, module, function, timeout_s = sys.argv[1:]
    with suppress(EOFError, ConnectionError):  # the other side has ended
        serve(Connection(int(descriptor)), module, function, float(timeout_s))


if __name__ == "__main__":
    _main()
