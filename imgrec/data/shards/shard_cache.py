"""Local paths of shards: remote ones are fetched whole into a folder of limited size."""

import hashlib
import logging
import os
import queue
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imgrec.core.files.atomic_write import durable_write, sweep_parts
from imgrec.core.files.file_lock import lock, unlock
from imgrec.data.shards.remote import download, is_remote, printable_url
from imgrec.errors import ConfigError, DataError, ImgrecError, RunFolderError

__all__ = ["Prefetcher", "Shard", "ShardCache", "default_cache_dir"]

log = logging.getLogger("imgrec")

_NUM_LOCKS = 64  # files; two shards that share one are fetched one after the other
_TOUCH_S = 1.0  # how exactly the time of the last use is known


@dataclass(frozen=True)
class Shard:
    """A tar file: its path or URL, its size in bytes, and its SHA-256 where it is known."""

    place: str
    size: int
    sha256: str | None = None

    @property
    def name(self) -> str:
        """The last part of the place."""
        return printable_url(self.place).rpartition("/")[2]

    @property
    def is_remote(self) -> bool:
        """Whether `place` is a URL."""
        return is_remote(self.place)


@dataclass
class ShardCache:
    """Provides a local path for each shard.

    A remote shard is fetched by one process while others that need it wait, and appears when it is complete.

    Args:
        folder: Folder for remote shards, shared by all processes of the machine and by later runs.
        limit_bytes: Limit for all shards in it; the least recently used are deleted first.
        options: Options for fsspec.
    """

    folder: Path
    limit_bytes: int
    options: Mapping[str, Any] = field(default_factory=dict)
    _touched: dict[str, float] = field(default_factory=dict, repr=False)

    def check_room(self, shards: Sequence[Shard], *, num_needed: int, num_processes: int = 1) -> None:
        """Check that `num_needed` of the largest remote shards fit, for each process.

        Raises:
            ConfigError: They do not.
        """
        sizes = sorted((shard.size for shard in shards if shard.is_remote), reverse=True)
        needed = sum(sizes[: num_needed * num_processes])
        if needed > self.limit_bytes:
            how_many = (
                f"{min(len(sizes), num_needed)} shards at a time{' in each process' if num_processes > 1 else ''}"
            )
            raise ConfigError(
                f"data.cache_gb={self.limit_bytes / 1e9:g}, but reading needs {how_many}. Set data.cache_gb="
                f"{needed / 1e9 * 1.01:.3g} or more, or fewer data.shuffle_shards."
            )

    def path(self, shard: Shard) -> Path:
        """Return the local path of the shard, after fetching it if need be.

        Raises:
            DataError: It cannot be fetched or stored.
        """
        if not shard.is_remote:
            return Path(shard.place)
        path = self.folder / _cached_name(shard)
        if not path.exists():
            self._fetch(shard, path)
        self._touch(path)
        return path

    def read(self, shard: Shard, *, offset: int, size: int) -> bytes:
        """Return `size` bytes of a shard from `offset` on, fewer where it ends earlier.

        Raises:
            DataError: The shard is gone, or cannot be fetched.
        """
        for _ in range(3):
            path = self.path(shard)
            # Opened for each image, for some microseconds: no descriptor outlives a fork or a deletion.
            with suppress(FileNotFoundError), path.open("rb") as file:
                file.seek(offset)
                return file.read(size)
        raise DataError(
            f"{printable_url(shard.place)} is gone{' from ' + str(self.folder) if shard.is_remote else ''}."
        )

    def _fetch(self, shard: Shard, path: Path) -> None:
        number = int.from_bytes(hashlib.sha256(path.name.encode()).digest()[:4], "little") % _NUM_LOCKS
        with self.alone(f"fetch-{number:02d}"):
            if path.exists():  # another process has fetched it meanwhile
                return
            try:
                with ExitStack() as stack:
                    with self.alone("room"):
                        self._make_room(shard.size)
                        file = stack.enter_context(durable_write(path, size=shard.size))
                        file.truncate(shard.size)  # so that other processes count the size that it will have
                    download(shard.place, self.options, file=file, size=shard.size, sha256=shard.sha256)
                    with self.alone("room"):
                        stack.close()  # renames it
            except RunFolderError as error:
                raise DataError(
                    f"{printable_url(shard.place)} cannot be stored in {self.folder}: {_first_sentence(error)} "
                    f"Set data.cache_dir=FOLDER, or a smaller data.cache_gb."
                ) from error

    def _make_room(self, size: int) -> None:
        """Delete the least recently used shards until `size` more bytes fit the limit."""
        sweep_parts(self.folder)
        found = [(entry, entry.stat()) for entry in self.folder.iterdir() if entry.suffix in (".tar", ".part")]
        excess = sum(status.st_size for _, status in found) + size - self.limit_bytes
        for entry, status in sorted(found, key=lambda pair: pair[1].st_mtime_ns):
            if excess > 0 and entry.suffix == ".tar":
                entry.unlink(missing_ok=True)
                excess -= status.st_size

    def _touch(self, path: Path) -> None:
        """Record the use of a shard as the time of its file, which all processes see."""
        now = time.monotonic()
        if now - self._touched.get(path.name, -_TOUCH_S) >= _TOUCH_S:
            self._touched[path.name] = now
            with suppress(OSError):
                os.utime(path)

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Wait until no other process is in a block of this name.

        Raises:
            DataError: The folder cannot be written.
        """
        with ExitStack() as stack:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                file = stack.enter_context((self.folder / f"{name}.lock").open("ab"))
                lock(file.fileno())
            except OSError as error:
                raise DataError(
                    f"{self.folder} cannot hold the shards: {error.strerror}. Set data.cache_dir=FOLDER."
                ) from None
            try:
                yield
            finally:
                # Closing would not do: a process forked meanwhile holds a copy of the descriptor, and so the lock.
                unlock(file.fileno())


class Prefetcher:
    """Fetches shards before they are needed, one by one, in a daemon thread."""

    def __init__(self, cache: ShardCache) -> None:
        self.cache = cache
        self._queue: queue.SimpleQueue[Shard] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def fetch(self, shard: Shard) -> None:
        """Queue a remote shard; returns at once."""
        if not shard.is_remote:
            return
        self._queue.put(shard)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="shards", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while True:
            shard = self._queue.get()
            with suppress(ImgrecError):  # raised again where the shard is needed
                self.cache.path(shard)


def default_cache_dir() -> Path:
    """Return the default folder for remote shards, in the user's folder for caches."""
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(base) if base else Path.home() / ".cache") / "imgrec" / "shards"


def _cached_name(shard: Shard) -> str:
    """Return the file name of a shard in the cache, which changes with its known size and digest."""
    mark = hashlib.sha256(f"{shard.place}\0{shard.size}\0{shard.sha256}".encode()).hexdigest()[:16]
    return f"{mark}-{shard.name[-100:].removesuffix('.tar')}.tar"


def _first_sentence(error: Exception) -> str:
    """Return the cause without the advice for run folders that may follow."""
    return str(error).partition(". ")[0].rstrip(".") + "."
