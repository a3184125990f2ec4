"""Cache of facts between scans: an interrupted scan resumes, a second one reads only new or changed files."""

import os
import sqlite3
from dataclasses import fields
from pathlib import Path

import numpy as np

from imgrec.auditing.scan.facts import FACTS_VERSION, NUM_HASHES, THUMBNAIL_PX, ImageFacts

__all__ = ["FactsStore", "FileKey", "file_key"]

FileKey = tuple[bytes, int, int]  # absolute path, size in bytes, modification time in nanoseconds

_TABLE = f"facts_{FACTS_VERSION}"
_FIELDS = [field.name for field in fields(ImageFacts)]
_BATCH = 512
# These depend on more than the bytes of the file, so they are not cached.
_NOT_KEPT = frozenset({"crashed", "timeout", "unreadable", "not_a_file"})


def file_key(path: Path) -> FileKey | None:
    """Return the key of a file, None if it does not exist.

    A file that was changed with its size and modification time restored keeps its key.
    """
    try:
        info = path.stat()
    except (OSError, ValueError):
        return None
    return os.fsencode(path.absolute()), info.st_size, info.st_mtime_ns


class FactsStore:
    """An SQLite file of facts, one row per image file, of plain values only.

    A store that cannot be opened or written keeps nothing; `trouble` has the reason.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.trouble = ""
        self._waiting: list[tuple[object, ...]] = []
        self._database: sqlite3.Connection | None = None
        if path is not None:
            self._open(path)

    def get(self, key: FileKey) -> ImageFacts | None:
        """Return the facts of a file, None if they are not cached for its present key."""
        if self._database is None:
            return None
        query = f"SELECT {', '.join(_FIELDS)} FROM {_TABLE} WHERE path = ? AND size = ? AND mtime_ns = ?"
        try:
            row = self._database.execute(query, key).fetchone()
            return None if row is None else _from_row(row)
        except (sqlite3.Error, ValueError) as error:
            self._give_up(error)
            return None

    def put(self, key: FileKey, facts: ImageFacts) -> None:
        """Cache the facts of a file; they replace earlier ones of the same path."""
        if self._database is not None and facts.code not in _NOT_KEPT:
            self._waiting.append((*key, *_to_row(facts)))
            if len(self._waiting) >= _BATCH:
                self.flush()

    def flush(self) -> None:
        """Write pending rows."""
        if self._database is None or not self._waiting:
            return
        places = ", ".join("?" * len(self._waiting[0]))
        try:
            with self._database:
                self._database.executemany(f"INSERT OR REPLACE INTO {_TABLE} VALUES ({places})", self._waiting)
        except sqlite3.Error as error:
            self._give_up(error)
        self._waiting.clear()

    def close(self) -> None:
        """Write pending rows and close the file."""
        self.flush()
        if self._database is not None:
            self._database.close()
            self._database = None

    def _open(self, path: Path) -> None:
        columns = ", ".join(["path BLOB PRIMARY KEY", "size", "mtime_ns", *_FIELDS])
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, timeout=30)
            self._database.execute("PRAGMA synchronous = NORMAL")
            with self._database:
                self._database.execute(f"CREATE TABLE IF NOT EXISTS {_TABLE} ({columns})")
                self._database.execute("PRAGMA user_version = 1")  # a write: fails here if the file is read-only
        except (OSError, sqlite3.Error) as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self.trouble = f"{self.path} cannot be written ({error}); the next scan will read all files again."
        if self._database is not None:
            self._database.close()
            self._database = None


def _to_row(facts: ImageFacts) -> list[object]:
    row = {name: getattr(facts, name) for name in _FIELDS}
    row["flags"] = " ".join(facts.flags)
    row["hashes"] = facts.hashes.astype("<u8").tobytes()
    row["thumbnail"] = facts.thumbnail.tobytes()
    return list(row.values())


def _from_row(row: tuple[object, ...]) -> ImageFacts:
    values = dict(zip(_FIELDS, row, strict=True))
    hashes, thumbnail = values.pop("hashes"), values.pop("thumbnail")
    if not (isinstance(hashes, bytes) and isinstance(thumbnail, bytes)):
        raise ValueError("a row without hashes or thumbnail")
    return ImageFacts(
        **{**values, "flags": tuple(str(values["flags"]).split())},  # type: ignore[arg-type]
        hashes=np.frombuffer(hashes, "<u8").reshape(NUM_HASHES).astype(np.uint64),
        thumbnail=np.frombuffer(thumbnail, np.uint8).reshape(THUMBNAIL_PX, THUMBNAIL_PX),
    )
