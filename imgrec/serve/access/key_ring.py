"""The keys as a running server knows them: read again whenever the file has changed."""

import os
import sys
from pathlib import Path

from imgrec.errors import ConfigError
from imgrec.serve.access.keys import Key, find_key, read_keys

__all__ = ["KeyRing"]

_Stamp = tuple[int, int, int, int]  # what tells one content of the file from another: device, inode, size, change


class KeyRing:
    """Keys by id. Each request looks at the file, for a microsecond or two: a revoked key fails at the next one.

    A file that is damaged, or open to others, or gone, while the server runs, gives no key at all.
    Raises: ConfigError: as `read_keys`, at the start.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = _stamp(path)
        self._keys = {key.id: key for key in read_keys(path)}
        self._was_there = self._stamp is not None

    @property
    def is_needed(self) -> bool:
        """Whether requests need a key: from the moment there is a file, also where every key in it is revoked."""
        self._refresh()
        return self._was_there

    def has_valid_key(self, now: float) -> bool:
        """Whether anybody can get in at all."""
        self._refresh()
        return any(key.is_valid(now) for key in self._keys.values())

    def find(self, secret: str) -> Key | None:
        """Return the key that `secret` is, valid or not; None: it is none of them."""
        self._refresh()
        return find_key(self._keys, secret)

    def _refresh(self) -> None:
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        try:
            self._keys = {key.id: key for key in read_keys(self._path)}
        except ConfigError as error:
            self._keys = {}
            sys.stderr.write(f"imgrec: {error} No key is valid until this is mended.\n")
        self._stamp = stamp
        self._was_there = self._was_there or stamp is not None


def _stamp(path: Path) -> _Stamp | None:
    try:
        info = os.stat(path, follow_symlinks=False)  # noqa: PTH116 - a third of the time of Path.stat
    except OSError:
        return None
    return info.st_dev, info.st_ino, info.st_size, info.st_ctime_ns
