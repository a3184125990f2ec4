"""Verification of prepared data against the digests of all its images."""

from collections.abc import Callable
from pathlib import Path

from imgrec.data.prepared.prepared_format import Manifest, pixel_digest
from imgrec.data.prepared.prepared_images import open_prepared
from imgrec.errors import DataError

__all__ = ["verify"]

MAX_LISTED = 5  # images in a message


def verify(root: Path, *, progress: Callable[[int, int], None] | None = None) -> int:
    """Compare every image in the folder `root` with its digest, and return the number of images.

    Raises:
        DataError: A file is missing, truncated or changed.
    """
    manifest = Manifest.read(root)
    manifest.check(root)
    parts = open_prepared(root, manifest)
    total = sum(len(samples) for samples in parts.values())
    changed = []
    done = 0
    for samples in parts.values():
        images = samples.images
        for index in range(len(images)):
            if index not in images.bad and pixel_digest(images.view(index)) != images.digests[index]:
                changed.append(samples.names[index])
            done += 1
            if progress is not None:
                progress(done, total)
    if changed:
        raise DataError(
            f"{root}: {len(changed)} of {total} images differ from what was written: {', '.join(changed[:MAX_LISTED])}"
            f"{', ...' if len(changed) > MAX_LISTED else ''}. Make it again: imgrec prepare ... --overwrite."
        )
    return total
