"""The format of prepared data: files of pixels, a table of images, and a manifest that is written last.

prepared.json       version, side, classes, counts, files of pixels with their sizes and digests
images.parquet      a row per image: name, label, split, group, sizes, shard, offset, and a code for unreadable files
pixels-00000.bin    uint8 pixels, each image (height, width, 3) contiguous from a multiple of 64 bytes on
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from imgrec.core.files.digest import sha256_of
from imgrec.core.files.json_file import write_json
from imgrec.data.samples import UInt8Array
from imgrec.errors import DataError

__all__ = [
    "ALIGNMENT",
    "MANIFEST",
    "TABLE",
    "VERSION",
    "Manifest",
    "Shard",
    "describe_shard",
    "pixel_digest",
    "table_path",
]

MANIFEST = "prepared.json"
TABLE = "images.parquet"
FORMAT = "imgrec-prepared"
VERSION = 2  # 1: `heap` in place of `is_unsplit`, and the table is pictures.parquet
_TABLE_OF_VERSION_1 = "pictures.parquet"
ALIGNMENT = 64  # a cache line
_END_BYTES = 1 << 20


@dataclass(frozen=True)
class Shard:
    """A file of pixels; `ends` is the digest of its first and last MiB, quick to check whatever its size."""

    name: str
    num_bytes: int
    ends: str


@dataclass(frozen=True)
class Manifest:
    """The content of `prepared.json`.

    Args:
        side: Pixels of the shorter side of larger images.
        interpolation: Interpolation of the resize.
        class_names: Class names of the source.
        task: Task of the source.
        is_unsplit: Whether the source defines no splits.
        counts: Number of images per part.
        num_bad: Number of images that could not be read.
        fingerprint: Digest of the source's names, labels and classes.
        files_fingerprint: Digest of its files' sizes and times of last change, "" where images are in no files.
        table: SHA-256 of the table.
        shards: Files of pixels.
        imgrec: Version of imgrec that wrote it.
    """

    side: int
    interpolation: str
    class_names: list[str]
    task: str
    is_unsplit: bool
    counts: dict[str, int]
    num_bad: int
    fingerprint: str
    files_fingerprint: str
    table: str
    shards: list[Shard]
    imgrec: str

    def write(self, root: Path) -> None:
        """Write `prepared.json` into `root`.

        Raises:
            RunFolderError: It cannot be written.
        """
        write_json(root / MANIFEST, {"format": FORMAT, "version": VERSION, **asdict(self)})

    @classmethod
    def read(cls, root: Path) -> "Manifest":
        """Read `prepared.json` of a folder, of this or an earlier version.

        Raises:
            DataError: It is absent, damaged, or of a later version.
        """
        path = root / MANIFEST
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise DataError(
                f"{root} holds no prepared data ({MANIFEST} is missing). Make it: imgrec prepare."
            ) from None
        except (OSError, ValueError) as error:
            raise _damaged(path, str(error)) from None
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            raise DataError(f"{path} is no description of prepared data.")
        if values.get("version") not in range(1, VERSION + 1):
            raise DataError(
                f"{root} has version {values.get('version')} of the format; this imgrec reads 1 to {VERSION}. "
                "Prepare the data again, or use the imgrec that made it."
            )
        if values["version"] == 1 and "heap" in values:
            values["is_unsplit"] = values.pop("heap")
        return cls._from_values(values, path)

    @classmethod
    def _from_values(cls, values: Mapping[str, Any], path: Path) -> "Manifest":
        try:
            known = {field.name: values[field.name] for field in fields(cls)}
            known["shards"] = [Shard(**shard) for shard in known["shards"]]
            manifest = cls(**known)
        except (KeyError, TypeError) as error:
            raise _damaged(path, f"{type(error).__name__}: {error}") from None
        if any(Path(shard.name).name != shard.name for shard in manifest.shards):
            raise _damaged(path, "it names files in other folders")
        return manifest

    def check(self, root: Path) -> None:
        """Check that the files of `root` are those described; of pixels, size and both ends.

        Raises:
            DataError: One is missing, truncated or changed.
        """
        path = table_path(root)
        try:
            table = sha256_of(path)
        except OSError as error:
            raise _damaged(path, error.strerror or str(error)) from None
        if table != self.table:
            raise _damaged(path, f"it is not the file that {MANIFEST} describes")
        for shard in self.shards:
            path = root / shard.name
            size = path.stat().st_size if path.is_file() else None
            if size is None:
                raise _damaged(path, "it is missing")
            if size != shard.num_bytes:
                raise _damaged(path, f"{size:,} bytes instead of {shard.num_bytes:,}")
            if describe_shard(path) != shard:
                raise _damaged(path, f"its content is not what {MANIFEST} describes")


def table_path(root: Path) -> Path:
    """Return the table of the prepared data in `root`."""
    old = root / _TABLE_OF_VERSION_1
    return old if old.is_file() else root / TABLE


def describe_shard(path: Path) -> Shard:
    """Return the name, size and digest of a shard."""
    size = path.stat().st_size
    with path.open("rb") as file:
        digest = hashlib.blake2b(file.read(_END_BYTES), digest_size=16)
        file.seek(max(0, size - _END_BYTES))
        digest.update(file.read(_END_BYTES))
    return Shard(path.name, size, digest.hexdigest())


def pixel_digest(pixels: UInt8Array) -> bytes:
    """Return the digest of an image, uint8 (H, W, 3), contiguous: 16 bytes of BLAKE2b over shape and pixels."""
    shape = f"{pixels.shape[0]}x{pixels.shape[1]}".encode()
    return hashlib.blake2b(pixels.data, digest_size=16, key=shape).digest()


def _damaged(path: Path, what: str) -> DataError:
    return DataError(f"{path}: {what}. Copy it again, or make it again: imgrec prepare ... --overwrite.")
