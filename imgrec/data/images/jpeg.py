"""Partial decoding of JPEG files: only down to the last row needed, and at 1/2, 1/4 or 1/8 of the size.

Only files that `decode_image` is sure to accept are decoded here; all others are left to it.
"""

import functools
import re
from dataclasses import dataclass
from io import BytesIO
from typing import Literal

import numpy as np
from PIL import Image

from imgrec.data.images.limits import MAX_PIXELS, MAX_SIDE_PX, exif_orientation
from imgrec.data.images.pillow_warnings import no_pillow_warnings
from imgrec.data.samples import UInt8Array

__all__ = ["PlainJpeg", "Scale", "decode_rows", "decodes_as_pillow", "read_plain_jpeg"]

Scale = Literal[1, 2, 4, 8]

_SOF0, _SOF1, _SOF2, _DHT, _EOI, _SOS, _DQT, _DRI, _COM = 0xC0, 0xC1, 0xC2, 0xC4, 0xD9, 0xDA, 0xDB, 0xDD, 0xFE
_FRAMES = (_SOF0, _SOF1, _SOF2)  # Huffman coded: baseline, extended, progressive
_TABLES = frozenset([_DHT, _DQT, _DRI, _COM])  # and comments
_APPLICATIONS = range(0xE0, 0xF0)

# In coded data, FF 00 stands for the value FF and FF D0 to FF D7 are restart marks; anything else ends the scan.
_END_OF_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7]")


@dataclass(frozen=True)
class PlainJpeg:
    """An 8-bit gray or YCbCr JPEG, undamaged from its first segment to its end mark.

    Attributes:
        data: Content of the file.
        height_width: As stored.
        orientation: EXIF, 1 to 8.
        height_place: Offset of the height in `data`.
        block_height: Rows that are coded together, 8 to 32.
        one_scan: Whether rows are coded from top to bottom, once.
    """

    data: bytes
    height_width: tuple[int, int]
    orientation: int
    height_place: int
    block_height: int
    one_scan: bool


def read_plain_jpeg(data: bytes) -> PlainJpeg | None:
    """Parse the header and find the end mark, without decoding. None: not plain, too large, damaged, or no JPEG."""
    try:
        frame, scan, is_simple = _walk(data)
        if not _ends_well(data, scan):
            return None
        orientation = 1 if is_simple else _orientation_by_pillow(data)
    # Pillow raises a dozen kinds on damaged headers; _NotPlain, and IndexError: the data end within a segment.
    except Exception:
        return None
    height, width = (int.from_bytes(data[frame + place : frame + place + 2], "big") for place in (5, 7))
    if min(height, width) == 0 or width * height > MAX_PIXELS or max(width, height) > MAX_SIDE_PX:
        return None
    num_components = data[frame + 9]
    block_height = 8 * max(data[frame + 11 + 3 * i] & 15 for i in range(num_components))
    one_scan = data[frame + 1] != _SOF2 and _is_whole_scan(data, scan, num_components)
    return PlainJpeg(data, (height, width), orientation, frame + 5, block_height, one_scan)


def decode_rows(jpeg: PlainJpeg, *, rows: int, scale: Scale = 1) -> UInt8Array | None:
    """Decode at least the upper `rows` rows, as stored, each side divided by `scale` and rounded up.

    Returns:
        uint8 (H, W, 3), RGB; equal, up to `rows`, to decoding the whole. None: libjpeg reports an error.
    """
    height, width = jpeg.height_width
    rows = -(-(rows + 2 * scale) // jpeg.block_height) * jpeg.block_height  # smooth colour needs the next samples too
    is_cut = rows < height and jpeg.one_scan
    size = (-(-(rows if is_cut else height) // scale), -(-width // scale))
    image = _decode(_cut(jpeg, rows) if is_cut else jpeg.data, size=size, scale=scale, strict=not is_cut)
    return None if image is None or image.shape[:2] != size else image


@functools.cache
def decodes_as_pillow() -> bool:
    """Return whether Pillow and simplejpeg give the same pixels here: both are libjpeg-turbo, but two copies of it."""
    noise = np.random.default_rng(0).integers(0, 256, (37, 53, 3), dtype=np.uint8)
    smooth = np.array(Image.fromarray(noise[:9, :9]).resize((53, 37)))
    for image in (noise, smooth):
        for subsampling in ("4:4:4", "4:2:2", "4:2:0"):
            buffer = BytesIO()
            Image.fromarray(image).save(buffer, "JPEG", quality=80, subsampling=subsampling)
            ours = _decode(buffer.getvalue(), size=(37, 53), scale=1, strict=True)
            if ours is None or not np.array_equal(ours, np.asarray(Image.open(buffer))):
                return False
    return True


class _NotPlain(Exception):  # noqa: N818 - not an error, and caught in this file
    pass


def _orientation_by_pillow(data: bytes) -> int:
    """Return the EXIF orientation, 1 to 8.

    Raises:
        _NotPlain: Several images, or not YCbCr. Pillow's own errors pass.
    """
    with no_pillow_warnings:
        image = Image.open(BytesIO(data), formats=("JPEG",))
        # A colour transform other than YCbCr's is marked by Adobe's segment alone. MPO: several images.
        if image.format != "JPEG" or image.info.get("adobe_transform", 1) != 1:
            raise _NotPlain
        return exif_orientation(image)


def _is_whole_scan(data: bytes, scan: int, num_components: int) -> bool:
    """Return whether the scan has all components, all 64 coefficients and all their bits, as sequential ones must."""
    rest = scan + 5 + 2 * num_components
    return data[scan + 4] == num_components and data[rest : rest + 3] == b"\x00\x3f\x00"


def _walk(data: bytes) -> tuple[int, int, bool]:
    """Return the offsets of frame header and first scan header, and whether nothing is left for Pillow to interpret.

    Raises:
        _NotPlain: Another order, another kind of segment, or one that Pillow or libjpeg might reject.
    """
    frame, place, is_simple = 0, 2, data[:2] == b"\xff\xd8"
    while True:
        mark, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        if data[place] != 0xFF:
            raise _NotPlain
        if mark == _SOS and frame:
            return frame, place, is_simple
        if mark in _FRAMES and not frame and _is_8_bit_frame(data, place, length):
            frame = place
        elif mark not in _TABLES and mark not in _APPLICATIONS:
            raise _NotPlain
        elif mark in _APPLICATIONS or mark == _DQT:
            is_simple = is_simple and _needs_no_pillow(data, place, length)
        if mark == 0xE0 and data[place + 4 : place + 9] == b"JFIF\x00" and data[place + 9] != 1:
            raise _NotPlain  # of another version: libjpeg only warns
        place += 2 + length


def _is_8_bit_frame(data: bytes, place: int, length: int) -> bool:
    """Return whether this is a frame header of 8 bits and of 1 component (gray) or 3."""
    return data[place + 4] == 8 and data[place + 9] in (1, 3) and length == 8 + 3 * data[place + 9]


def _needs_no_pillow(data: bytes, place: int, length: int) -> bool:
    """Return whether a segment is a whole JFIF header, a part of a colour profile, or 8-bit quantization tables.

    Others, like EXIF, are read by Pillow, which alone knows what it accepts.
    """
    mark, content = data[place + 1], data[place + 4 : place + 18]
    if mark == _DQT:
        return (length - 2) % 65 == 0 and all(data[at] < 16 for at in range(place + 4, place + 2 + length, 65))
    if mark == 0xE0:
        return length >= 16 and content.startswith(b"JFIF\x00")
    return mark == 0xE2 and length >= 18 and content.startswith(b"ICC_PROFILE\x00")


def _ends_well(data: bytes, place: int) -> bool:
    """Return whether only coded data, tables and scans lie between the scan header at `place` and the end mark.

    Then no damage makes libjpeg stop: in coded data it repairs or fills with gray, and so does Pillow.
    """
    mark = _SOS
    while mark == _SOS or mark in _TABLES:
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        if mark == _SOS:
            found = _END_OF_SCAN.search(data, place)
            if found is None:
                return False
            place = found.start()
        if data[place] != 0xFF:
            return False
        mark = data[place + 1]
    return mark == _EOI


def _cut(jpeg: PlainJpeg, rows: int) -> bytes:
    """Return the file with fewer rows in its header: the decoder stops there and ignores the rest.

    Only for files of one scan, whose rows are decoded in order.
    """
    place = jpeg.height_place
    return b"".join((jpeg.data[:place], rows.to_bytes(2, "big"), jpeg.data[place + 2 :]))


def _decode(data: bytes, *, size: tuple[int, int], scale: Scale, strict: bool) -> UInt8Array | None:
    """Decode with libjpeg-turbo.

    Args:
        data: Content of the file.
        size: (height, width) at this `scale`, which simplejpeg needs.
        scale: Divisor of each side.
        strict: Reject what libjpeg only warns of. simplejpeg treats a fatal error that follows a warning as one more
            warning and returns uninitialised memory; so False only where nothing fatal can follow: after a cut.
    """
    import simplejpeg

    try:
        image: UInt8Array = simplejpeg.decode_jpeg(
            data, "RGB", min_height=size[0], min_width=size[1], min_factor=scale, strict=strict
        )
    except ValueError:  # its only kind, for all errors of libjpeg
        return None
    return image
