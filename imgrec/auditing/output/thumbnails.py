"""Thumbnails as data URIs, made of the pixels alone, without the metadata of the files."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO

from PIL import Image

from imgrec.auditing.scan.facts import FactsTable
from imgrec.data.images.lazy_image import open_image
from imgrec.data.samples import Samples, UInt8Array
from imgrec.errors import ImageError

__all__ = ["LONGEST_PX", "MAX_BYTES", "Thumbnails"]

LONGEST_PX = 192  # for screens with two pixels per CSS pixel
SMALL_PX = 64  # up to this size, thumbnails are lossless copies
JPEG_QUALITY = 80
MAX_BYTES = 8_000_000  # of all data URIs of a page; about 1000 photographs


@dataclass
class Thumbnails:
    """Makes the data URI of each image once, until `max_bytes` are spent. Rows are those of `facts`."""

    facts: FactsTable
    splits: Mapping[str, Samples]
    max_bytes: int = MAX_BYTES
    _made: dict[int, str] = field(default_factory=dict)
    _spent: int = 0

    def uri(self, row: int) -> str:
        """Return the data URI of an image; "" if it cannot be decoded or the page is full.

        Only pixels are written: no EXIF (which may have a location), no colour profile, no comment.
        """
        if self.facts.code[row]:
            return ""
        if row not in self._made and self._spent < self.max_bytes:
            self._made[row] = self._make(row)
        uri = self._made.get(row, "")
        # The page repeats the URI each time the image is shown.
        self._spent += len(uri)
        return uri if self._spent <= self.max_bytes else ""

    def _make(self, row: int) -> str:
        for samples in self.splits.values():
            if row < len(samples):
                try:
                    return encode(_small(samples, row))
                except ImageError:  # gone or changed since the scan
                    return ""
            row -= len(samples)
        raise AssertionError("a row of no split")


def encode(image: UInt8Array) -> str:
    """Return uint8 (H, W, 3) as a data URI: PNG where the image is small, JPEG otherwise."""
    content = BytesIO()
    is_small = max(image.shape[:2]) <= SMALL_PX
    if is_small:
        Image.fromarray(image).save(content, "PNG", optimize=True)
    else:
        Image.fromarray(image).save(content, "JPEG", quality=JPEG_QUALITY, optimize=True)
    kind = "png" if is_small else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content.getvalue()).decode('ascii')}"


def _small(samples: Samples, index: int) -> UInt8Array:
    image = open_image(samples.images, index)
    height, width = image.height_width
    scale = min(1.0, LONGEST_PX / max(height, width))
    if scale == 1.0:
        return image.pixels()
    size = max(1, round(height * scale)), max(1, round(width * scale))
    return image.window((0, 0, width, height), size=size)
