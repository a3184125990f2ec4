"""The format of prepared data: shards of pixels, a table of images, and a description that comes last.

prepared.json       what is here: version, side, classes, counts, shards with their sizes and digests
images.parquet    a row per image: name, label, split, group, sizes, shard, offset, and a code for bad files
pixels-00000.bin    uint8 pixels, each image (height, width, 3) in one piece that begins at a multiple of 64 bytes
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

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
    "file_digest",
    "pixel_digest",
]

MANIFEST = "prepared.json"
TABLE = "images.parquet"
FORMAT = "imgrec-prepared"
VERSION = 1
ALIGNMENT = 64  # a cache line
_END_BYTES = 1 << 20


@dataclass(frozen=True)
class Shard:
    """A file of pixels. ends: digest of its first and last MiB, quick to check whatever its size."""

    name: str
    num_bytes: int
    ends: str


@dataclass(frozen=True)
class Manifest:
    """What `prepared.json` says.

    side, interpolation: how images were made smaller. class_names, task, heap: as the source had them; heap = it
    named no splits. counts: images per part. num_bad: those that could not be read. fingerprint: of the source's
    names, labels, groups and classes; files_fingerprint: of its files' sizes and times of last change, or "".
    table: digest of the table. imgrec: the version that wrote it.
    """

    side: int
    interpolation: str
    class_names: list[str]
    task: str
    heap: bool
    counts: dict[str, int]
    num_bad: int
    fingerprint: str
    files_fingerprint: str
    table: str
    shards: list[Shard]
    imgrec: str

    def write(self, root: Path) -> None:
        """Write `prepared.json` into `root`. Raises: RunFolderError."""
        write_json(root / MANIFEST, {"format": FORMAT, "version": VERSION, **asdict(self)})

    @classmethod
    def read(cls, root: Path) -> "Manifest":
        """Read `prepared.json` of a folder. Raises: DataError: it is absent, damaged, or of another version."""
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
            raise DataError(f"{path} describes something else than prepared data of imgrec.")
        if values.get("version") != VERSION:
            raise DataError(
                f"{root} is of version {values.get('version')} of the format; this imgrec reads version {VERSION}. "
                "Prepare the data again, or use the imgrec that made it."
            )
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
        """Check that the files of `root` are those described. Raises: DataError: one is missing, cut off or changed."""
        if file_digest(root / TABLE) != self.table:
            raise _damaged(root / TABLE, f"it is not the file that {MANIFEST} describes")
        for shard in self.shards:
            path = root / shard.name
            size = path.stat().st_size if path.is_file() else None
            if size is None:
                raise _damaged(path, "it is missing")
            if size != shard.num_bytes:
                raise _damaged(path, f"{size:,} bytes instead of {shard.num_bytes:,}")
            if describe_shard(path) != shard:
                raise _damaged(path, f"its content is not what {MANIFEST} describes")


def describe_shard(path: Path) -> Shard:
    """Return the name, size and digest of a shard."""
    size = path.stat().st_size
    with path.open("rb") as file:
        digest = hashlib.blake2b(file.read(_END_BYTES), digest_size=16)
        file.seek(max(0, size - _END_BYTES))
        digest.update(file.read(_END_BYTES))
    return Shard(path.name, size, digest.hexdigest())


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file. Raises: DataError: it is missing."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _damaged(path, error.strerror or str(error)) from None


def pixel_digest(pixels: UInt8Array) -> bytes:
    """Return 16 bytes that tell an image, uint8 (H, W, 3) in one piece, from every other."""
    shape = f"{pixels.shape[0]}x{pixels.shape[1]}".encode()
    return hashlib.blake2b(pixels.data, digest_size=16, key=shape).digest()


def _damaged(path: Path, what: str) -> DataError:
    return DataError(f"{path}: {what}. Copy it again, or make it again: imgrec prepare ... --overwrite.")
