"""Make prepared data: decode and resize each image once, and write its pixels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imgrec import __version__
from imgrec.core.files.digest import sha256_of
from imgrec.data.fingerprint import samples_fingerprint
from imgrec.data.prepared.order import in_order
from imgrec.data.prepared.pack import SHARD_BYTES, Packer
from imgrec.data.prepared.place import check_output, check_room, new_folder
from imgrec.data.prepared.prepared_format import ALIGNMENT, MANIFEST, TABLE, Manifest
from imgrec.data.prepared.rows import Rows, files_fingerprint
from imgrec.data.prepared.shrink import Shrink, Shrunk, kept_size, shrink_all
from imgrec.data.samples import Samples, Task
from imgrec.errors import DataError, ImageError

__all__ = ["Source", "prepare"]

MAX_WAITING_BYTES = 256 << 20  # of images that are finished before an earlier one
NUM_MEASURED = 16  # images from whose sizes the space is estimated
MAX_LISTED = 5  # unreadable images in a message
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Source:
    """Data to prepare; parts are "train", "val" and "test", or "all" for unsplit data; a label of -1 means none."""

    where: str
    parts: Mapping[str, Samples]
    class_names: Sequence[str]
    task: Task = "single"

    def __len__(self) -> int:
        return sum(len(samples) for samples in self.parts.values())


def prepare(
    source: Source,
    output: Path,
    *,
    shrink: Shrink,
    workers: int | None = None,
    overwrite: bool = False,
    max_bad: float = 0.01,
    shard_bytes: int = SHARD_BYTES,
    progress: Progress | None = None,
) -> tuple[Manifest, list[ImageError]]:
    """Write `source` to the folder `output` as prepared data, which data=prepared reads.

    The folder appears when it is complete; until then, and after an error, `output` is unchanged.

    Args:
        source: Data to prepare.
        output: Folder to create.
        shrink: How to resize.
        workers: Number of processes that decode; None = one per processor. The result does not depend on it.
        overwrite: Whether prepared data at `output` may be replaced.
        max_bad: Images that may be unreadable: a share below 1, or a number. They become rows with a reason code.
        shard_bytes: Maximum size of a file of pixels, unless a single image is larger.
        progress: Called with the number of images done and of all.

    Returns:
        What was written, and the errors of images that could not be read.

    Raises:
        DataError: `output` is in use, the disk is too small, or too many images cannot be read.
    """
    if not len(source):
        raise DataError(f"{source.where}: no images to prepare.")
    check_output(output, marks=(MANIFEST,), overwrite=overwrite)
    check_room(output, _estimated_bytes(source, shrink))
    with new_folder(output) as folder:
        packer = Packer(folder, shard_bytes=shard_bytes)
        try:
            rows = _write_pixels(source, shrink, packer, workers=workers, max_bad=max_bad, progress=progress)
        finally:
            packer.close()
        rows.write(folder / TABLE, source.parts, class_names=source.class_names)
        manifest = Manifest(
            side=shrink.side,
            interpolation=shrink.interpolation,
            class_names=list(source.class_names),
            task=source.task,
            is_unsplit="all" in source.parts,
            counts={part: len(samples) for part, samples in source.parts.items()},
            num_bad=len(rows.bad),
            fingerprint=samples_fingerprint(source.parts, source.class_names),
            files_fingerprint=files_fingerprint(source.parts),
            table=sha256_of(folder / TABLE),
            shards=packer.shards,
            imgrec=__version__,
        )
        manifest.write(folder)
    return manifest, list(rows.bad.values())


def _write_pixels(
    source: Source,
    shrink: Shrink,
    packer: Packer,
    *,
    workers: int | None,
    max_bad: float,
    progress: Progress | None,
) -> Rows:
    """Read all images and write their pixels."""
    rows = Rows(len(source))
    first = num_done = 0
    for samples in source.parts.values():
        results = shrink_all(samples, shrink, workers=workers)
        for index, result in in_order(results, size=_num_bytes, most=MAX_WAITING_BYTES):
            if isinstance(result, ImageError):
                rows.bad[first + index] = result
                _check_bad(rows.bad, max_bad=max_bad, num_images=len(source))
            else:
                rows.add(first + index, result, packer.add(result.pixels))
            num_done += 1
            if progress is not None:
                progress(num_done, len(source))
        first += len(samples)
    packer.finish()
    return rows


def _num_bytes(result: Shrunk | ImageError) -> int:
    return 0 if isinstance(result, ImageError) else result.pixels.nbytes


def _check_bad(bad: Mapping[int, ImageError], *, max_bad: float, num_images: int) -> None:
    allowed = int(max_bad if max_bad >= 1 else max_bad * num_images)
    if len(bad) <= allowed:
        return
    found = [str(error) for error in bad.values()]
    raise DataError(
        f"{len(found)} images cannot be read, but of {num_images} at most {allowed} may be unreadable "
        f"(--max-bad {max_bad:g}); stopped at the last of these:\n  "
        + "\n  ".join(found[-MAX_LISTED:])
        + "\n`imgrec audit` checks all images and proposes "
        "what to remove; a larger --max-bad, a share or a number, continues without them."
    )


def _estimated_bytes(source: Source, shrink: Shrink) -> int:
    """Return about how many bytes the pixels will take, from the sizes of some images."""
    sizes = []
    for samples in source.parts.values():
        places = np.unique(np.linspace(0, len(samples) - 1, num=min(NUM_MEASURED, len(samples))).astype(np.int64))
        sizes += [size for place in places if (size := _kept_bytes(samples, int(place), shrink))]
    return int(np.mean(sizes) * len(source)) if sizes else 0


def _kept_bytes(samples: Samples, index: int, shrink: Shrink) -> int:
    """Return the bytes that an image will take, 0 for one that cannot be read."""
    from imgrec.data.images.lazy_image import open_image

    try:
        height, width = kept_size(*open_image(samples.images, index).height_width, side=shrink.side)
    except ImageError:
        return 0
    return -(-height * width * 3 // ALIGNMENT) * ALIGNMENT
