"""`PartialTable`, the rows of an unfinished table, kept so that the same command resumes where it was stopped.

`OUTPUT.partial` holds the rows. The first line of `OUTPUT.partial.journal` holds what they depend on, each further
line how many bytes are safe on disk. The table gets its final name when it is complete.
"""

import json
import os
import time
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from imgrec.core.files.atomic_write import durable_link, folder_errors
from imgrec.core.files.file_lock import try_lock
from imgrec.errors import DataError

__all__ = ["PartialTable"]

FORMAT = 2  # 1: rows of the older columns
_EVERY_S = 1.0  # work that a kill may lose: the interval between two fsync
_CHUNK_BYTES = 1 << 20


class PartialTable:
    """Rows of one output, opened by one process at a time.

    Args:
        output: The table.
        key: What the rows depend on, by the names used in messages; plain values, which are compared.
        restart: Discard existing rows.

    Attributes:
        path: Of the rows.
        state: What `add` got with the last safe rows; {} at first.

    Raises:
        DataError: The existing rows depend on something else, are damaged, or are open in another process.
        RunFolderError: The files cannot be written.
    """

    def __init__(self, output: Path, *, key: Mapping[str, Any], restart: bool) -> None:
        self._output = output
        self.path = output.with_name(output.name + ".partial")
        self._journal_path = output.with_name(output.name + ".partial.journal")
        self.state: dict[str, Any] = {}
        self._written = (0, 0, self.state)  # bytes, checksum, state; one object, so that Ctrl-C comes before or after
        self._is_saved = True
        with folder_errors(output):
            output.parent.mkdir(parents=True, exist_ok=True)
            self._journal = self._open(self._journal_path)
            try:
                self._lock()
                self._rows = self._open(self.path)
                self._resume(dict(key), restart=restart)
            except BaseException:
                self.close()
                raise
        self._last = time.monotonic()

    def add(self, data: bytes, state: Mapping[str, Any]) -> None:
        """Append rows, with the `state` (plain values) after them. Raises: RunFolderError: The disk is full."""
        with folder_errors(self._output):
            size, checksum, _ = self._written
            self._rows.write(data)
            self._written = (size + len(data), zlib.crc32(data, checksum), dict(state))
            self._is_saved = False
            if time.monotonic() - self._last >= _EVERY_S:
                self.save()

    def save(self) -> None:
        """Write all rows to disk and note it in the journal."""
        if self._is_saved:
            return
        size, checksum, state = self._written
        with folder_errors(self._output):
            self._rows.flush()
            os.fsync(self._rows.fileno())
            self._note({"bytes": size, "crc32": checksum, "state": state})
        self._is_saved = True
        self._last = time.monotonic()

    def publish(self) -> None:
        """Make the rows, as they are, the table."""
        self.save()
        durable_link(self.path, self._output)

    def remove(self) -> None:
        """Delete the files of the unfinished table, once the finished one exists."""
        self._journal_path.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Close the files and keep them."""
        for file in (getattr(self, "_rows", None), self._journal):
            if file is not None:
                with suppress(OSError):  # a full disk has been reported already
                    file.close()

    @staticmethod
    def _open(path: Path) -> BinaryIO:
        return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666), "r+b")

    def _lock(self) -> None:
        with suppress(OSError):  # a file system without locks
            if not try_lock(self._journal.fileno()):
                raise DataError(f"Another process is writing {self._output}. Wait for it, or give another --output.")

    def _resume(self, key: dict[str, Any], *, restart: bool) -> None:
        """Find the last safe row and remove what follows it."""
        lines = self._journal.read().split(b"\n")[:-1]  # a line without its end is incomplete
        if restart or not lines:
            if not restart and self.path.stat().st_size:
                raise DataError(f"{self.path} exists without its journal. Remove it, or add --restart.")
            self._begin(key)
            return
        self._compare(lines[0], key)
        if len(lines) == 1:
            self._begin(key)
            return
        size, checksum, self.state = self._last_saved(lines[1:])
        if self._checksum_of(size) != checksum:
            raise self._damaged()
        self._rows.seek(size)
        self._rows.truncate()
        self._journal.seek(sum(len(line) + 1 for line in lines))
        self._journal.truncate()
        self._written = (size, checksum, self.state)

    def _last_saved(self, lines: Sequence[bytes]) -> tuple[int, int, dict[str, Any]]:
        for line in reversed(lines):
            with suppress(ValueError, TypeError, KeyError):  # an incomplete line with another behind it
                last = json.loads(line)
                return int(last["bytes"]), int(last["crc32"]), dict(last["state"])
        raise self._damaged()

    def _begin(self, key: dict[str, Any]) -> None:
        for file in (self._rows, self._journal):
            file.seek(0)
            file.truncate()
        self._note({"format": FORMAT, "key": key})

    def _note(self, content: Mapping[str, Any]) -> None:
        self._journal.write(json.dumps(content).encode("ascii") + b"\n")
        self._journal.flush()
        os.fsync(self._journal.fileno())

    def _compare(self, line: bytes, key: dict[str, Any]) -> None:
        try:
            first = json.loads(line)
            format_, theirs = first["format"], first["key"]
        except (ValueError, TypeError, KeyError):
            raise self._damaged() from None
        if not isinstance(format_, int) or not isinstance(theirs, dict):
            raise self._damaged()
        if format_ != FORMAT:
            raise DataError(
                f"{self.path} holds rows with the columns of another version of imgrec, which cannot be resumed. Add "
                "--restart to discard them and predict all images, or give another --output."
            )
        ours = json.loads(json.dumps(key))
        differing = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
        if differing:
            raise DataError(
                f"{self.path} holds rows of an interrupted run with other {', '.join(differing)}. Repeat the command "
                "that began it, give another --output, or add --restart to discard them."
            )

    def _checksum_of(self, size: int) -> int | None:
        """Return the checksum of the first `size` bytes of the rows; None where there are fewer."""
        self._rows.seek(0)
        checksum = 0
        while size:
            chunk = self._rows.read(min(size, _CHUNK_BYTES))
            if not chunk:
                return None
            checksum, size = zlib.crc32(chunk, checksum), size - len(chunk)
        return checksum

    def _damaged(self) -> DataError:
        return DataError(
            f"{self.path} or its journal was changed or damaged. Add --restart to predict all images again."
        )
