"""Suppress Pillow's warnings while images are decoded: problems of a file are reported by an ImageError."""

import re
import threading
import warnings
from contextlib import suppress

__all__ = ["no_pillow_warnings"]


class _PillowWarnings:
    """Suppresses Pillow's own warnings while any thread decodes; all others are shown.

    `warnings.catch_warnings` is not thread-safe: when two threads overlap, the first to enter restores its filters too
    early and the last to leave restores filters that are out of date.
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
        with self._lock, suppress(ValueError):  # not there: the filters were replaced meanwhile
            self._num_threads -= 1
            if self._num_threads == 0:
                warnings.filters.remove(self._filter)  # type: ignore[attr-defined]


no_pillow_warnings = _PillowWarnings()
