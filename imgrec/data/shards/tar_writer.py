"""Writes images as WebDataset shards: tar files of unchanged image files with their labels, and an index.

The same input gives the same bytes: no times, no owners, a fixed order.
"""

import hashlib
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from PIL import Image

from imgrec.core.files.atomic_write import durable_write
from imgrec.core.keyed_random import lasting_order
from imgrec.core.text import listed
from imgrec.data.images.collections import FileImages
from imgrec.data.images.formats import FORMAT_OF_SUFFIX, format_of
from imgrec.data.images.image import decode_image, read_regular_file
from imgrec.data.prepared.place import check_output, new_folder
from imgrec.data.samples import Images, ImagesView, Samples
from imgrec.data.shards.shard_images import ShardImages
from imgrec.data.shards.tar_index import IMAGE_ENDINGS, INDEX_NAME, make_index, save_index
from imgrec.errors import DataError, RunFolderError

if TYPE_CHECKING:
    import pyarrow

__all__ = ["write_tar_shards"]

_ORDER_SEED = 0  # any constant


def write_tar_shards(
    parts: Mapping[str, Samples],
    *,
    class_names: Sequence[str],
    output: Path,
    shard_mb: float = 256,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write all images into `output`: `train-000000.tar`, ..., `val-000000.tar`, ..., and `index.parquet`.

    Image files are copied byte for byte; images that are no files become PNG. Each is followed by `.cls` (the number
    of its class; not for several labels) and `.json` (path, label or labels, group, split). Within a split the order is
    shuffled, so that every shard has images of all classes. `output` appears when everything is written.

    Args:
        parts: Samples by split, or as "all" for unsplit data, which is split when it is read.
        class_names: Name of each label.
        output: Folder to create.
        shard_mb: Maximum size of a shard in megabytes (10^6 bytes), unless a single image is larger.
        progress: Called with the number of images done and of all.

    Raises:
        DataError: `output` is not empty, the disk is full, or an image has no label.
        ImageError: A file is no image.
    """
    _check_labels(parts)
    check_output(output, marks=(), overwrite=False)
    try:
        with new_folder(output) as work:
            _write(parts, class_names, work, shard_bytes=int(shard_mb * 1_000_000), progress=progress)
    except RunFolderError as error:
        what = str(error).partition(". ")[0]
        raise DataError(f"{what}. Free some space, or choose a folder on another disk: --output DIR.") from error


def _write(
    parts: Mapping[str, Samples],
    class_names: Sequence[str],
    folder: Path,
    *,
    shard_bytes: int,
    progress: Callable[[int, int], None] | None,
) -> None:
    writer = _Writer(folder, class_names, shard_bytes)
    total = sum(len(samples) for samples in parts.values())
    written = (None for split, samples in parts.items() for _ in writer.write(split, samples))
    for done, _ in enumerate(written, start=1):
        if progress is not None:
            progress(done, total)
    are_many = any(samples.labels.ndim == 2 for samples in parts.values())
    save_index(writer.index(are_many=are_many), folder / INDEX_NAME)


def _check_labels(parts: Mapping[str, Samples]) -> None:
    for samples in parts.values():
        without = [samples.names[place] for place in np.flatnonzero(samples.labels == -1)[:4]]
        if samples.labels.ndim == 1 and without:
            raise DataError(f"Images without a label, which shards need: {listed(without)}. Label or exclude them.")


@dataclass
class _Writer:
    """Writes samples into shards and collects the index."""

    folder: Path
    class_names: Sequence[str]
    shard_bytes: int
    tables: "list[pyarrow.Table]" = field(default_factory=list)
    shards: dict[str, dict[str, Any]] = field(default_factory=dict)

    def write(self, split: str, samples: Samples) -> Iterator[None]:
        """Write the shards of a split, and yield after each image."""
        order = lasting_order(len(samples), _ORDER_SEED)
        num_digits = len(str(max(len(samples) - 1, 0)))
        shard, num_shards = None, 0
        with ExitStack() as stack:
            for number, index in enumerate(order):
                members, row = self._sample(samples, int(index), split=split)
                if shard is not None and shard.size + _packed_size(members) > self.shard_bytes:
                    self._finish(shard, split)
                    stack.close()
                    shard = None
                if shard is None:
                    name = f"{split}-{num_shards:06d}.tar"
                    shard = _ShardFile(name, stack.enter_context(durable_write(self.folder / name)))
                    num_shards += 1
                shard.add_sample(f"{number:0{num_digits}d}", members, row)
                yield
            if shard is not None:
                self._finish(shard, split)

    def _sample(self, samples: Samples, index: int, *, split: str) -> tuple[dict[str, bytes], dict[str, Any]]:
        """Return the members of a sample by ending, the image first, and its row in the index."""
        ending, data = _image_file(samples.images, index, name=samples.names[index])
        label, path = samples.labels[index], samples.names[index]
        group = None if samples.groups is None else samples.groups[index]
        if samples.labels.ndim == 1:
            labels = [self.class_names[int(label)]]
            members = {ending: data, "cls": str(int(label)).encode()}
            facts: dict[str, Any] = {"label": labels[0]}
        else:
            labels = [name for name, is_on in zip(self.class_names, label, strict=True) if is_on]
            members, facts = {ending: data}, {"labels": labels}
        facts |= {"path": path, "split": split} | ({} if group is None else {"group": group})
        members["json"] = json.dumps(facts, sort_keys=True).encode()
        return members, {"name": path, "labels": labels, "group": group}

    def _finish(self, shard: "_ShardFile", split: str) -> None:
        shard.finish()
        self.tables.append(make_index(shard.rows, {}))
        self.shards[shard.name] = {"size": shard.size, "sha256": shard.digest.hexdigest(), "split": split}

    def index(self, *, are_many: bool) -> "pyarrow.Table":
        """Return the index of everything written; `are_many`: whether images have several labels."""
        import pyarrow

        facts = {"class_names": list(self.class_names), "multilabel": are_many, "shards": self.shards}
        empty = make_index([], facts)
        rows = [table.replace_schema_metadata(empty.schema.metadata) for table in self.tables]
        return pyarrow.concat_tables([empty, *rows]).unify_dictionaries()


@dataclass
class _ShardFile:
    """A tar file that is being written."""

    name: str
    file: BinaryIO
    rows: list[dict[str, Any]] = field(default_factory=list)
    size: int = 0
    digest: Any = field(default_factory=hashlib.sha256)

    def add_sample(self, key: str, members: Mapping[str, bytes], row: Mapping[str, Any]) -> None:
        """Write the members of a sample; the first is the image."""
        offsets = [self._add(f"{key}.{ending}", content) for ending, content in members.items()]
        size = len(next(iter(members.values())))
        self.rows.append({"shard": self.name, "offset": offsets[0], "size": size, **row})

    def _add(self, name: str, content: bytes) -> int:
        """Write a member; return where its content begins."""
        header = tarfile.TarInfo(name)
        header.size = len(content)
        self._write(header.tobuf(tarfile.USTAR_FORMAT))
        offset = self.size
        self._write(content + bytes(-len(content) % tarfile.BLOCKSIZE))
        return offset

    def finish(self) -> None:
        """Write the end mark, up to the record size that tar programs expect."""
        end = 2 * tarfile.BLOCKSIZE
        self._write(bytes(end + -(self.size + end) % tarfile.RECORDSIZE))

    def _write(self, data: bytes) -> None:
        self.file.write(data)
        self.digest.update(data)
        self.size += len(data)


def _packed_size(members: Mapping[str, bytes]) -> int:
    """Return the bytes that members take in a tar file: a header each, and whole blocks."""
    block = tarfile.BLOCKSIZE
    return sum(block + len(content) + -len(content) % block for content in members.values())


def _image_file(images: Images, index: int, *, name: str) -> tuple[str, bytes]:
    """Return the ending and the bytes of the image file: the original where there is one, or a PNG."""
    data = _original(images, index)
    if data is not None:
        return _ending(data, name), data
    file = BytesIO()
    Image.fromarray(images[index]).save(file, format="PNG")
    return "png", file.getvalue()


def _original(images: Images, index: int) -> bytes | None:
    if isinstance(images, ImagesView):
        return _original(images.images, int(images.indices[index]))
    if isinstance(images, FileImages):
        return read_regular_file(images.paths[index])
    return images.read(index) if isinstance(images, ShardImages) else None


def _ending(data: bytes, name: str) -> str:
    """Return the usual ending for an image file by its first bytes."""
    kind = format_of(data)
    if kind is not None:
        return next(suffix[1:] for suffix, of_suffix in FORMAT_OF_SUFFIX.items() if of_suffix == kind)
    decode_image(data, name=name)
    suffix = Path(name).suffix.lower()[1:]
    return suffix if suffix in IMAGE_ENDINGS else "jpg"  # readers detect the format by content
