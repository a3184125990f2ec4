"""The program of a worker process of `imgrec.core.system.worker_pool`: it runs tasks until the pool ends."""

import os
import signal
import sys
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection

__all__ = ["READY", "serve"]

READY = "ready"
# Longer than the pool's own limit: it only makes sure that no hung process outlives its parent.
GRACE_S = 10.0


def serve(connection: Connection, module: str, function: str, timeout_s: float) -> None:
    """Reply to each list of (key, item) with one (key, result, error) per item, in order, until the pool ends.

    `error` is "" or what the task raised, which is then a bug or a lack of memory, not a fault of the item.
    """
    task = getattr(import_module(module), function)
    connection.send(READY)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # C libraries write warnings there that name no file
    while True:
        for key, item in connection.recv():
            # The default action of SIGALRM ends the process even inside a C library.
            signal.setitimer(signal.ITIMER_REAL, timeout_s + GRACE_S)
            try:
                reply = key, task(item), ""
            except Exception as error:
                reply = key, None, f"{type(error).__name__}: {error}"
            connection.send(reply)
            signal.setitimer(signal.ITIMER_REAL, 0)


def _main() -> None:
    descriptor, module, function, timeout_s = sys.argv[1:]
    with suppress(EOFError, ConnectionError):  # the pool has ended
        serve(Connection(int(descriptor)), module, function, float(timeout_s))


if __name__ == "__main__":
    _main()
