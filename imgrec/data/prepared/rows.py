"""The table of prepared data, and the digest of its source files."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imgrec.data.prepared.pack import Where
from imgrec.data.prepared.shrink import Shrunk
from imgrec.data.samples import Samples
from imgrec.data.splits.join import file_paths
from imgrec.errors import ImageError

__all__ = ["Rows", "files_fingerprint"]

_NUMBERS = ("shard", "offset", "height", "width", "source_height", "source_width")


class Rows:
    """The rows of N images, in the order of all parts; `bad` are the errors of those that could not be read, by row."""

    def __init__(self, num_rows: int) -> None:
        self.bad: dict[int, ImageError] = {}
        self._numbers = np.full((len(_NUMBERS), num_rows), -1, dtype=np.int64)
        self._numbers[2:] = 0
        self._digests = np.zeros((num_rows, 16), dtype=np.uint8)

    def add(self, row: int, image: Shrunk, where: Where) -> None:
        """Record an image whose pixels have been written."""
        self._numbers[:, row] = (*where, *image.pixels.shape[:2], *image.source_size)
        self._digests[row] = np.frombuffer(image.digest, dtype=np.uint8)

    def write(self, path: Path, parts: Mapping[str, Samples], *, class_names: Sequence[str]) -> None:
        """Write the table as Parquet: a row per image, with its label and group by name."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        num_rows = self._numbers.shape[1]
        groups: list[str | None] = []
        for samples in parts.values():
            groups += [None] * len(samples) if samples.groups is None else list(samples.groups)
        errors = [self.bad.get(row) for row in range(num_rows)]
        columns: dict[str, Any] = {
            "name": [name for samples in parts.values() for name in samples.names],
            "label": [label for samples in parts.values() for label in _labels(samples, class_names)],
            "split": [part for part, samples in parts.items() for _ in range(len(samples))],
            "group": pa.array(groups, type=pa.string()),
            **{name: values.astype(np.int64) for name, values in zip(_NUMBERS, self._numbers, strict=True)},
            "digest": [bytes(digest) for digest in self._digests],
            "code": ["" if error is None else error.code for error in errors],
            "detail": ["" if error is None else error.detail for error in errors],
        }
        pq.write_table(pa.table(columns), path)
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _labels(samples: Samples, class_names: Sequence[str]) -> list[Any]:
    """Return the label of each image by name, None where it has none, or the list of its labels."""
    if samples.labels.ndim == 2:
        return [[class_names[i] for i in np.flatnonzero(row).tolist()] for row in samples.labels]
    return [class_names[label] if label >= 0 else None for label in samples.labels.tolist()]


def files_fingerprint(parts: Mapping[str, Samples]) -> str:
    """Return the SHA-256 of sizes and times of last change of all files, "" where images are in no files."""
    digest = hashlib.sha256()
    for samples in parts.values():
        paths = file_paths(samples.images)
        if paths is None:
            return ""
        for path in paths:
            try:
                info = path.stat()
                digest.update(f"{info.st_size} {info.st_mtime_ns}\n".encode())
            except (OSError, ValueError):
                digest.update(b"-\n")
    return digest.hexdigest()
