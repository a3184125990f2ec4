"""Silence for Pillow's own warnings while images are decoded: what is wrong with a file is said by an ImageError."""

import re
import threading
import warnings
from contextlib import suppress

__all__ = ["no_pillow_warnings"]


class _PillowWarnings:
    """Silences Pillow's own warnings while any thread decodes; everybody else's go on.

    `warnings.catch_warnings` would not do: when two threads overlap, the first to enter restores its filters too early
    and the last to leave restores the wrong ones.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._num_threads = 0
        self._filter = ("ignore", None, Warning, re.compile(r"PIL\."), 0)

    def __enter__(self) -> None:
        with self._lock:
            self._num_threads += 1
            if self._num_threads == 1:
                action, _, category, module, _ = self._filter
                warnings.filterwarnings(action, category=category, module=module.pattern)  # type: ignore[arg-type]

    def __exit__(self, *error: object) -> None:
        with self._lock, suppress(ValueError):  # not there: someone has replaced the filters meanwhile
            self._num_threads -= 1
            if self._num_threads == 0:
                warnings.filters.remove(self._filter)  # type: ignore[attr-defined]


no_pillow_warnings = _PillowWarnings()
