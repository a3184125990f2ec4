"""Small copies of the images that a report shows, kept beside its numbers, so that it can be built without them."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from imgrec.core.files import arrow_table as arrow
from imgrec.core.files.atomic_write import durable_write
from imgrec.data.images.lazy_image import image_from_bytes, open_image
from imgrec.data.images.pillow_warnings import no_pillow_warnings
from imgrec.data.samples import Samples, UInt8Array
from imgrec.errors import ImageError
from imgrec.evaluation.figures.choose import choose_images
from imgrec.evaluation.predictions.predictions import Predictions

__all__ = ["LONGEST_PX", "THUMBNAILS_NAME", "write_thumbnails", "write_thumbnails_from"]

log = logging.getLogger("imgrec")

THUMBNAILS_NAME = "thumbnails.parquet"
LONGEST_PX = 128
SMALL_PX = 48  # up to here an image is kept without loss
QUALITY = 82
MAX_BYTES = 7_000_000  # of all thumbnails; a third more as text in the page


def write_thumbnails(predictions: Predictions, samples: Samples, folder: Path) -> int:
    """Write `thumbnails.parquet` (path, image) of the images that the page will show; return how many.

    samples: where the images are, found by their names. One that cannot be read is left out. Only pixels are kept,
    not what else a file says. Raises: RunFolderError: the file cannot be written.
    """
    places = {name: place for place, name in enumerate(samples.names)}
    return _write(predictions, folder, lambda row: _small(samples, places.get(predictions.names[row])))


def write_thumbnails_from(predictions: Predictions, folder: Path, *, root: Path | None) -> tuple[int, int]:
    """Write `thumbnails.parquet` from the files that the table names, below `root` where it is given.

    Returns how many were found, and how many were looked for. None found: nothing is written.
    """
    wanted = choose_images(predictions)
    places = {row: _find(predictions.names[row], root) for row in wanted}
    if not any(places.values()):
        return 0, len(wanted)
    found = _write(predictions, folder, lambda row: _small_file(places[row]))
    return found, len(wanted)


def _find(name: str, root: Path | None) -> Path | None:
    """Return the file of an image: as named, or the longest end of its path that is there below `root`."""
    path = Path(name)
    if root is None:
        return path if path.is_file() else None
    parts = path.relative_to(path.anchor).parts
    for start in range(len(parts)):
        below = root.joinpath(*parts[start:])
        if ".." not in parts[start:] and below.is_file():
            return below
    return None


def _write(predictions: Predictions, folder: Path, small: Callable[[int], UInt8Array | None]) -> int:
    names: list[str] = []
    contents: list[bytes] = []
    spent = 0
    with no_pillow_warnings:  # once for all of them
        for row in choose_images(predictions):
            image = small(row)
            if image is None:
                continue
            content = _encode(image)
            if (spent := spent + len(content)) > MAX_BYTES:
                break
            names.append(predictions.names[row])
            contents.append(content)
    _write_table(names, contents, folder / THUMBNAILS_NAME)
    return len(names)


def _write_table(names: Sequence[str], contents: Sequence[bytes], path: Path) -> None:
    import pyarrow.parquet as pq

    # As in predictions.parquet: a name that is no Unicode is written out, and matched so.
    shown = [name.encode("utf-8", "backslashreplace").decode() for name in names]
    table = arrow.table({"path": arrow.texts(shown), "image": arrow.contents(contents)})
    with durable_write(path) as file:
        pq.write_table(table, file, compression="none")


def _small(samples: Samples, place: int | None) -> UInt8Array | None:
    if place is None:
        return None
    try:
        image = open_image(samples.images, place)
        height, width = image.height_width
        if max(height, width) <= LONGEST_PX:
            return image.pixels()
        return image.window((0, 0, width, height), size=_fit(height, width))
    except ImageError:  # gone or changed since it was scored
        return None


def _small_file(path: Path | None) -> UInt8Array | None:
    if path is None:
        return None
    try:
        image = image_from_bytes(path.read_bytes(), name=str(path))
        height, width = image.height_width
        return image.window((0, 0, width, height), size=_fit(height, width))
    except (OSError, ImageError):
        return None


def _fit(height: int, width: int) -> tuple[int, int]:
    scale = min(1.0, LONGEST_PX / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _encode(image: UInt8Array) -> bytes:
    """Return uint8 (H, W, 3) as PNG where the image is small, as JPEG otherwise: WebP takes 20 times as long."""
    import cv2

    pixels = np.ascontiguousarray(image[..., ::-1])
    if max(image.shape[:2]) <= SMALL_PX:
        is_done, content = cv2.imencode(".png", pixels)
    else:
        is_done, content = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    assert is_done
    return bytes(content)
