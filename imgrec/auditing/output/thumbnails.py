"""Small copies of images inside a page: data URIs of the bare pixels, without what else the files carry."""

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

LONGEST_PX = 192  # twice what a narrow screen shows, for screens of two pixels a point
SMALL_PX = 64  # up to here an image is kept as it is, without loss
JPEG_QUALITY = 80
MAX_BYTES = 8_000_000  # of all data URIs of a page; about 1000 photographs


@dataclass
class Thumbnails:
    """Makes each image's data URI once, until `max_bytes` are spent. Rows are those of `facts`, made from `parts`."""

    facts: FactsTable
    parts: Mapping[str, Samples]
    max_bytes: int = MAX_BYTES
    _made: dict[int, str] = field(default_factory=dict)
    _spent: int = 0

    def uri(self, row: int) -> str:
        """Return the data URI of an image; "" for one that cannot be decoded, or when the page is full.

        Only pixels are written. What the file says besides, EXIF with a place on the map, colour profiles, comments,
        ends here.
        """
        if self.facts.code[row]:
            return ""
        if row not in self._made and self._spent < self.max_bytes:
            self._made[row] = self._make(row)
        uri = self._made.get(row, "")
        # A page holds a URI as often as it is shown.
        self._spent += len(uri)
        return uri if self._spent <= self.max_bytes else ""

    def _make(self, row: int) -> str:
        for samples in self.parts.values():
            if row < len(samples):
                try:
                    return encode(_small(samples, row))
                except ImageError:  # gone or changed since the scan
                    return ""
            row -= len(samples)
        raise AssertionError("a row of no part")


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
