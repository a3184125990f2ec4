"""Limits on the size of image files, and the EXIF orientation: what the header tells before decoding."""

from contextlib import suppress
from typing import TYPE_CHECKING

from imgrec.errors import ImageError

if TYPE_CHECKING:
    from PIL import Image

__all__ = [
    "MAX_FILE_BYTES",
    "MAX_PIXELS",
    "MAX_SIDE_PX",
    "MIN_SIDE_PX",
    "exif_orientation",
    "refuse_too_small",
]

# What a header may claim before anything is decoded. 89 Mpx as RGB is 268 MB, the bound at which Pillow starts to warn.
MAX_PIXELS = 89_478_485
MAX_SIDE_PX = 20_000
MAX_FILE_BYTES = 1 << 30  # an uncompressed 16-bit RGB image of MAX_PIXELS takes half of it
MIN_SIDE_PX = 8  # of a file in a data set: less is a spacer or a tracking pixel, not an image

_ORIENTATION_TAG = 0x0112


def refuse_too_small(height_width: tuple[int, int], *, name: str, min_side_px: int = MIN_SIDE_PX) -> None:
    """Check that no side of an image is below `min_side_px`.

    Raises:
        ImageError: `too_small`.
    """
    if min(height_width) < min_side_px:
        height, width = height_width
        raise ImageError(name, "too_small", f"{width}x{height} px; at least {min_side_px} a side")


def exif_orientation(image: "Image.Image") -> int:
    """Return the EXIF orientation, 1 to 8; 1 (upright) where EXIF is missing or damaged."""
    with suppress(Exception):  # the same many kinds as in decoding
        orientation = int(image.getexif().get(_ORIENTATION_TAG, 1))
        return orientation if 1 <= orientation <= 8 else 1
    return 1
