"""Files of pixels: images one after the other, in files of limited size."""

import os
from pathlib import Path
from typing import BinaryIO, NamedTuple

from imgrec.data.prepared.prepared_format import ALIGNMENT, Shard, describe_shard
from imgrec.data.samples import UInt8Array

__all__ = ["NOWHERE", "SHARD_BYTES", "Packer", "Where"]

SHARD_BYTES = 1 << 30


class Where(NamedTuple):
    """Index of the shard of an image, and the first byte of its pixels."""

    shard: int
    offset: int


NOWHERE = Where(-1, -1)  # of an image that could not be read


class Packer:
    """Writes `pixels-00000.bin`, `pixels-00001.bin`, ... into a folder, each image contiguous in one file.

    Args:
        folder: Where to write.
        shard_bytes: Maximum size of a file, unless a single image is larger.
    """

    def __init__(self, folder: Path, *, shard_bytes: int = SHARD_BYTES) -> None:
        self.folder = folder
        self.shard_bytes = shard_bytes
        self.shards: list[Shard] = []
        self._file: BinaryIO | None = None
        self._size = 0

    def add(self, pixels: UInt8Array) -> Where:
        """Write an image, uint8 (H, W, 3), and return its place."""
        start = -(-self._size // ALIGNMENT) * ALIGNMENT
        if self._file is None or (self._size and start + pixels.nbytes > self.shard_bytes):
            self.finish()
            self._file = (self.folder / f"pixels-{len(self.shards):05d}.bin").open("wb")
            self._size = start = 0
        self._file.write(bytes(start - self._size))
        self._file.write(pixels.data)
        self._size = start + pixels.nbytes
        return Where(len(self.shards), start)

    def finish(self) -> None:
        """Flush the current file to the disk and record it."""
        if self._file is None:
            return
        self._file.flush()
        os.fsync(self._file.fileno())
        self.close()
        self.shards.append(describe_shard(self.folder / f"pixels-{len(self.shards):05d}.bin"))

    def close(self) -> None:
        """Close the current file, if any, as it is."""
        if self._file is not None:
            self._file.close()
            self._file = None
