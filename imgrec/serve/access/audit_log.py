"""Who asked what and when, as lines of JSON that each carry the hash of the line before: a change anywhere shows.

Beside the log, `FILE.head` holds the number and the hash of the last line, so that lines taken off the end show too.
Whoever may write both files can make a new chain: copy the head elsewhere now and then (docs/threat-model.md).
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from imgrec.core.files.atomic_write import folder_errors
from imgrec.core.files.file_lock import try_lock
from imgrec.errors import ConfigError, DataError

__all__ = ["AuditLog", "Head", "verify_log"]

START = "0" * 64  # what the first line names as the hash before it
_HEAD_ROW = 82  # bytes: 16 for the number, a space, 64 for the hash, a line end


@dataclass(frozen=True)
class Head:
    """The end of a log: how many lines, and the hash of the last."""

    lines: int
    hash: str


class AuditLog:
    """A log open for adding to. One process writes it at a time.

    Raises: ConfigError: another server writes it, or its last line is not one of ours. DataError: lines are missing at
    its end. RunFolderError: it is not writable.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with folder_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
            self._file = os.open(path, flags | os.O_APPEND, 0o600)
            self._head_file = os.open(_head_path(path), flags, 0o600)
        try:
            if not try_lock(self._file):
                raise ConfigError(f"Another server writes {path}. Give each its own --audit-log.")
            self._head = self._last()
            _check_end(self._head, path)
        except BaseException:
            self.close()
            raise

    @property
    def head(self) -> Head:
        """Where the log ends now."""
        return self._head

    def add(self, fields: Mapping[str, Any]) -> None:
        """Add one line. Raises: OSError: it could not be written whole; the log then ends as before."""
        number, line_hash, line = _line(self._head, fields)
        size = os.fstat(self._file).st_size
        if os.write(self._file, line) != len(line):
            os.ftruncate(self._file, size)
            raise OSError("the audit line could not be written whole")
        self._head = Head(number, line_hash)
        os.pwrite(self._head_file, f"{number:>16} {line_hash}\n".encode(), 0)

    def close(self) -> None:
        """Close the files."""
        os.close(self._file)
        os.close(self._head_file)

    def _last(self) -> Head:
        """Return where an existing log ends; a last line that a full disk cut short is taken off."""
        size = os.fstat(self._file).st_size
        tail, start = b"", size
        while start > 0 and tail.rstrip(b"\n").count(b"\n") < 2:
            start = max(0, start - 65_536)
            tail = os.pread(self._file, size - start, start)
        whole = tail[: tail.rfind(b"\n") + 1]
        if len(whole) < len(tail):
            os.ftruncate(self._file, size - len(tail) + len(whole))
        if not whole:
            return Head(0, START)
        try:
            entry = json.loads(whole.splitlines()[-1])
            return Head(int(entry["n"]), str(entry["hash"]))
        except (ValueError, TypeError, KeyError) as error:
            raise ConfigError(f"{self._path} is not an audit log of imgrec. Give another --audit-log.") from error


def verify_log(path: Path, *, head: str | None = None) -> Head:
    """Check every line of a log and return its end.

    head: the hash that the last line must have, copied at another time; any line after it fails too.
    Raises: DataError: it names the first line that was changed, removed or added. The file cannot be read.
    """
    last = Head(0, START)
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                last = _checked(line, last, number=number, path=path)
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror}.") from error
    _check_end(last, path)
    if head is not None and head != last.hash:
        raise DataError(f"{path} ends with the hash {last.hash}, not {head}: lines were added or removed since.")
    return last


def _line(head: Head, fields: Mapping[str, Any]) -> tuple[int, str, bytes]:
    number = head.lines + 1
    time = datetime.now(UTC).isoformat(timespec="milliseconds")
    entry = {"n": number, "time": time, **fields, "previous": head.hash}
    line_hash = _hash(entry)
    return number, line_hash, _written({**entry, "hash": line_hash})


def _written(entry: Mapping[str, Any]) -> bytes:
    return json.dumps(entry, separators=(",", ":")).encode("ascii") + b"\n"


def _hash(entry: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a line without its own hash, in one way of writing it."""
    return hashlib.sha256(json.dumps(entry, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _checked(line: bytes, last: Head, *, number: int, path: Path) -> Head:
    try:
        entry = json.loads(line)
        is_ours = line == _written(entry)  # else a line could say one thing twice, the first time for human readers
        stated = entry.pop("hash")
        follows = entry["previous"] == last.hash and entry["n"] == last.lines + 1
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{path}, line {number} is not a line of an audit log: it was changed.") from error
    if not follows:
        raise DataError(f"{path}, line {number} does not follow the line before: a line was removed, added or moved.")
    if stated != _hash(entry) or not is_ours:
        raise DataError(f"{path}, line {number} was changed: its hash does not fit.")
    return Head(last.lines + 1, stated)


def _check_end(last: Head, path: Path) -> None:
    """Compare with the head beside the log; a server that was killed may have written one line more."""
    try:
        lines, line_hash = _head_path(path).read_text(encoding="ascii").split()
    except (OSError, ValueError):
        if last.lines <= 1:  # a server that was killed before it wrote the first head
            return
        raise DataError(f"{_head_path(path)} is missing or damaged: lines at the end may be missing.") from None
    if int(lines) > last.lines:
        raise DataError(f"{path} has {last.lines} lines, but had {lines}: lines were removed from its end.")
    if int(lines) < last.lines - 1 or (int(lines) == last.lines and line_hash != last.hash):
        raise DataError(f"{path} and {_head_path(path).name} do not fit: one of them was changed.")


def _head_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.head")
