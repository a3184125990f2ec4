"""How many processors there are for us."""

import os

__all__ = ["num_processors"]


def num_processors() -> int:
    """Return the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
