"""Python's garbage collector, out of the way of imports."""

import contextlib
import gc
from collections.abc import Iterator

__all__ = ["resting_collector"]


@contextlib.contextmanager
def resting_collector() -> Iterator[None]:
    """Let the collector rest inside, and leave what was made there out of its later rounds (`gc.freeze`).

    While imports make half a million objects, none of which can go, it walks over all of them again and again.
    Nothing is done where it is off already.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
