"""Facts of an image file that decoding loses: format, mode and flags."""

import os
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO

from PIL import Image

from imgrec.data.images.formats import FORMAT_OF_SUFFIX, FORMATS

__all__ = ["EXTREME_ASPECT", "read_header"]

EXTREME_ASPECT = 50
_ORIENTATION_TAG = 0x0112


def read_header(data: bytes, *, name: str) -> tuple[str, str, tuple[str, ...]]:
    """Return format, mode and flags as in `FactsTable`; ("", "", ()) if it is not an image."""
    # Pillow raises a dozen kinds of exceptions on damaged files; the decoder reports the error.
    with suppress(Exception), Image.open(BytesIO(data), formats=FORMATS) as image:
        kind = "JPEG" if image.format == "MPO" else image.format or ""  # MPO: several JPEGs in one file
        return kind, image.mode, tuple(_flags(image, kind, data, name))
    return "", "", ()


def _flags(image: Image.Image, kind: str, data: bytes, name: str) -> Iterator[str]:
    if kind == "JPEG" and data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda"):  # no end after the start of the last scan
        yield "no_eoi"
    with suppress(Exception):
        if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
            yield "animated"
    if FORMAT_OF_SUFFIX.get(os.path.splitext(name)[1].lower(), kind) != kind:  # noqa: PTH122
        yield "wrong_extension"
    if max(image.size) > EXTREME_ASPECT * min(image.size):
        yield "extreme_aspect"
    with suppress(Exception):
        if 2 <= int(image.getexif().get(_ORIENTATION_TAG, 1)) <= 8:
            yield "exif_rotated"
    if image.info.get("icc_profile"):
        yield "icc_profile"
    yield from _flags_of_mode(image, kind, data)


def _flags_of_mode(image: Image.Image, kind: str, data: bytes) -> Iterator[str]:
    if image.mode in ("1", "L", "LA", "La", "I", "F") or image.mode.startswith("I;16"):
        yield "gray"
    if image.mode in ("P", "PA"):
        yield "palette"
    if image.mode == "CMYK":
        yield "cmyk"
    if image.has_transparency_data:
        yield "alpha"
    if _is_sixteen_bit(image, kind, data):
        yield "sixteen_bit"


def _is_sixteen_bit(image: Image.Image, kind: str, data: bytes) -> bool:
    if kind == "PNG":
        return data[24] == 16  # IHDR: length, name, width, height, then the bit depth
    if kind == "TIFF":
        return bool(max(getattr(image, "tag_v2", {}).get(258, (8,))) > 8)  # BitsPerSample
    return image.mode == "I" or image.mode.startswith("I;16")
