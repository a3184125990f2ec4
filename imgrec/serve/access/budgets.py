"""How many images each key has used today, kept in a file so that a restart forgets none."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from imgrec.core.files.atomic_write import folder_errors
from imgrec.core.files.file_lock import lock, unlock
from imgrec.errors import ConfigError

__all__ = ["DailyBudgets"]

_DAY_S = 86_400
_ROW = 64  # bytes: a name of 40, the day (since 1970, UTC), the count, and a line end
_NAME = 40


class DailyBudgets:
    """Counts by name and day, in rows of one length that are written in place.

    A row is written before the images are looked at, by one call: a killed server has counted all that it took on.
    Not forced to the disk: a power cut may lose the counts of the last seconds. Several servers may share one file.
    now: seconds since 1970. Raises: RunFolderError: the file cannot be written. ConfigError: it is something else.
    """

    def __init__(self, path: Path, *, now: Callable[[], float] = time.time) -> None:
        self._now = now
        with folder_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0), 0o600)
        self._places: dict[str, int] = {}
        try:
            self._find_places()
        except ValueError as error:
            os.close(self._file)
            raise ConfigError(f"{path} does not hold the daily counts of keys. Move it away.") from error

    def take(self, name: str, images: int, *, daily: int) -> float:
        """Count `images` if no more than `daily` come together and return 0; else return the seconds to midnight UTC.

        Raises: OSError: the count cannot be written.
        """
        now = self._now()
        lock(self._file)
        try:
            place = self._place(name)
            day, count = self._read(place)
            today = max(day, int(now // _DAY_S))  # a clock that was set back gives no second day
            used = count if day == today else 0
            if used + images > daily:
                return (today + 1) * _DAY_S - now
            self._write(place, name, today, used + images)
            return 0.0
        finally:
            unlock(self._file)

    def used(self, name: str) -> int:
        """Return today's count of a name."""
        day, count = self._read(self._places[name]) if name in self._places else (0, 0)
        return count if day >= int(self._now() // _DAY_S) else 0

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _find_places(self) -> None:
        """Note where the names are. Raises: ValueError: a row that is none."""
        size = os.fstat(self._file).st_size
        for place in range(0, size - size % _ROW, _ROW):
            row = os.pread(self._file, _ROW, place)
            int(row[_NAME:50])
            self._places[row[:_NAME].decode("ascii").rstrip()] = place

    def _place(self, name: str) -> int:
        """Return where a name's row is; a new one goes to the end, wherever another server has moved that."""
        assert name.isascii() and 0 < len(name) <= _NAME
        if name not in self._places:
            self._find_places()
        if name not in self._places:
            size = os.fstat(self._file).st_size
            place = size - size % _ROW  # a row cut short by a full disk is written over
            self._write(place, name, 0, 0)
            self._places[name] = place
        return self._places[name]

    def _read(self, place: int) -> tuple[int, int]:
        row = os.pread(self._file, _ROW, place)
        return int(row[_NAME:50]), int(row[50:63])

    def _write(self, place: int, name: str, day: int, count: int) -> None:
        row = f"{name:<{_NAME}}{day:>10}{count:>13}\n".encode("ascii")
        assert len(row) == _ROW
        if os.pwrite(self._file, row, place) != _ROW:
            raise OSError("the count of images could not be written whole")
