"""Thumbnails of the images in a report, stored with its data so that it can be rebuilt without the images."""

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
SMALL_PX = 48  # up to this size an image is stored losslessly
QUALITY = 82
MAX_BYTES = 7_000_000  # of all thumbnails; base64 in the page adds a third


def write_thumbnails(predictions: Predictions, samples: Samples, folder: Path) -> int:
    """Write `thumbnails.parquet` (path, image) of the images in the report.

    Only pixels are stored, no metadata such as EXIF.

    Args:
        predictions: Determine which images are shown.
        samples: Hold the images, found by their names; unreadable ones are skipped.
        folder: Of the evaluation.

    Returns:
        The number of thumbnails.

    Raises:
        RunFolderError: The file cannot be written.
    """
    indices = {name: index for index, name in enumerate(samples.names)}
    return _write(predictions, folder, lambda row: _small(samples, indices.get(predictions.names[row])))


def write_thumbnails_from(predictions: Predictions, folder: Path, *, root: Path | None) -> tuple[int, int]:
    """Write `thumbnails.parquet` from the files at the paths of the predictions, or below `root`.

    Returns:
        The numbers of images found and wanted; if none is found, nothing is written.
    """
    wanted = choose_images(predictions)
    files = {row: _find(predictions.names[row], root) for row in wanted}
    if not any(files.values()):
        return 0, len(wanted)
    found = _write(predictions, folder, lambda row: _small_file(files[row]))
    return found, len(wanted)


def _find(name: str, root: Path | None) -> Path | None:
    """Return the file of an image: its path, or the longest tail of its path that exists below `root`."""
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

    # Names that are not valid Unicode are escaped as in predictions.parquet.
    shown = [name.encode("utf-8", "backslashreplace").decode() for name in names]
    table = arrow.table({"path": arrow.texts(shown), "image": arrow.contents(contents)})
    with durable_write(path) as file:
        pq.write_table(table, file, compression="none")


def _small(samples: Samples, index: int | None) -> UInt8Array | None:
    if index is None:
        return None
    try:
        image = open_image(samples.images, index)
        height, width = image.height_width
        if max(height, width) <= LONGEST_PX:
            return image.pixels()
        return image.window((0, 0, width, height), size=_fit(height, width))
    except ImageError:  # missing or changed since the evaluation
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
    """Return uint8 (H, W, 3) as PNG where the image is small, otherwise as JPEG; WebP is 20 times slower."""
    import cv2

    pixels = np.ascontiguousarray(image[..., ::-1])
    if max(image.shape[:2]) <= SMALL_PX:
        is_done, content = cv2.imencode(".png", pixels)
    else:
        is_done, content = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    assert is_done
    return bytes(content)
