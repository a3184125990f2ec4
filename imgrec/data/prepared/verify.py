"""Look whether prepared data is still what was written, pixel by pixel."""

from collections.abc import Callable
from pathlib import Path

from imgrec.data.prepared.prepared_format import Manifest, pixel_digest
from imgrec.data.prepared.prepared_images import open_prepared
from imgrec.errors import DataError

__all__ = ["verify"]

MAX_SAID = 5  # images that a message names


def verify(root: Path, *, progress: Callable[[int, int], None] | None = None) -> int:
    """Compare every image in the folder `root` with its digest; return their number. Opening compares only some.

    Raises: DataError: a file is missing, cut off or changed.
    """
    manifest = Manifest.read(root)
    manifest.check(root)
    parts = open_prepared(root, manifest)
    total = sum(len(samples) for samples in parts.values())
    wrong = []
    done = 0
    for samples in parts.values():
        images = samples.images
        for index in range(len(images)):
            if index not in images.bad and pixel_digest(images.view(index)) != images.digests[index]:
                wrong.append(samples.names[index])
            done += 1
            if progress is not None:
                progress(done, total)
    if wrong:
        raise DataError(
            f"{root}: {len(wrong)} of {total} images are not what was written: {', '.join(wrong[:MAX_SAID])}"
            f"{', ...' if len(wrong) > MAX_SAID else ''}. Make it again: imgrec prepare ... --overwrite."
        )
    return total
