"""Decode image files: upright, RGB, uint8, or an `ImageError` with the reason."""

import re
import stat
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from imgrec.data.images.formats import FORMATS, format_of
from imgrec.data.images.limits import MAX_FILE_BYTES, MAX_PIXELS, MAX_SIDE_PX, exif_orientation
from imgrec.data.images.pillow_warnings import no_pillow_warnings
from imgrec.data.samples import UInt8Array
from imgrec.errors import ImageError

__all__ = ["decode_image", "read_image", "read_regular_file"]

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# How files of other formats begin, for the message about one that cannot be read.
_BEGINNINGS = {
    "HEIC": rb"....ftyp(hei|hev|mif1|msf1)",
    "JPEG 2000": rb"\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51",
    "JPEG XL": rb"\xff\x0a|\x00\x00\x00\x0cJXL ",
    "ICO": rb"\x00\x00\x01\x00",
    "PSD": rb"8BPS",
    "PDF": rb"%PDF",
    "EPS": rb"%!PS",
    "SVG": rb"\s*(<\?xml[^>]*>\s*)?<svg",
    "HTML": rb"\s*<(!doctype html|html)",
}


def read_image(path: Path) -> UInt8Array:
    """Read an image file. Links are followed; the extension of the name is ignored.

    Returns:
        As `decode_image`.

    Raises:
        ImageError: As in `decode_image`; `unreadable`: missing, no permission, a broken link; `not_a_file`: a folder,
            pipe or device, which is never opened.
    """
    return decode_image(read_regular_file(path), name=str(path))


def decode_image(data: bytes, *, name: str) -> UInt8Array:
    """Decode the bytes of an image file as RGB, turned upright by its EXIF orientation.

    Args:
        data: Content of the file.
        name: Its name in messages.

    Returns:
        uint8 array (H, W, 3), values 0-255. Gray, palette, CMYK and Lab are converted; of 16 bits the high byte is
        kept; transparency is laid on white; of several frames or pages the first is taken. A JPEG that lacks only its
        end mark is accepted.

    Raises:
        ImageError: With one of the codes `not_an_image`, `unsupported`, `truncated`, `damaged`, `float_range`,
            `too_large` (more than MAX_PIXELS, or a side above MAX_SIDE_PX; known before decoding).
    """
    try:
        with no_pillow_warnings:
            image = _load(data, name)
            method = _UPRIGHT.get(exif_orientation(image))
            image = _to_rgb(image, name)
            return np.array(image if method is None else image.transpose(method))
    except ImageError:
        raise
    # Damaged files made Pillow raise OSError, SyntaxError, ValueError, RuntimeError, TypeError, struct.error and more.
    except Exception as error:
        raise _explain(error, data, name) from error


def read_regular_file(path: Path) -> bytes:
    """Return the bytes of a file.

    Raises:
        ImageError: `unreadable`, `not_a_file` or `too_large`, as in `read_image`.
    """
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):
            raise ImageError(str(path), "not_a_file", "a folder, pipe or device, not a file")
        if info.st_size > MAX_FILE_BYTES:
            raise ImageError(str(path), "too_large", f"a file of {info.st_size:,} bytes; at most {MAX_FILE_BYTES:,}")
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise ImageError(str(path), "unreadable", getattr(error, "strerror", None) or str(error)) from error


def _load(data: bytes, name: str) -> Image.Image:
    """Return the first frame with its pixels decoded."""
    image = Image.open(BytesIO(data), formats=FORMATS)
    width, height = image.size
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE_PX:
        limits = f"at most {MAX_PIXELS:,} pixels and {MAX_SIDE_PX:,} a side"
        raise ImageError(name, "too_large", f"its header says {width}x{height} px; {limits}")
    try:
        image.load()
    except OSError as error:
        if image.format != "JPEG" or "truncated" not in str(error):
            raise
        whole = _load_without_end_mark(data)
        if whole is None:
            raise
        return whole
    return image


def _load_without_end_mark(data: bytes) -> Image.Image | None:
    """Return the image of a JPEG that lacks only its end mark, None if pixels are missing.

    libjpeg fills missing pixels silently. So decode twice, with different bytes after the end: if pixels depend on
    them, those pixels were not in the file.
    """
    first, second = (Image.open(BytesIO(data + end), formats=("JPEG",)) for end in _ends_to_try(data))
    if first.info.get("progressive") and not _has_all_scans(data):
        return None
    return first if first.tobytes() == second.tobytes() else None


def _has_all_scans(data: bytes) -> bool:
    """Return whether the scans of a progressive JPEG hold all bits of all coefficients (ITU-T T.81, B.2.3, G.1.1)."""
    frame = data[data.rfind(b"\xff\xc2") :]
    complete = set()
    for scan in re.finditer(rb"\xff\xda\x00.([\x01-\x04])(.{3,11})", frame, re.DOTALL):
        num_components = scan[1][0]
        components, rest = scan[2][: 2 * num_components : 2], scan[2][2 * num_components :]
        if len(rest) >= 3 and rest[2] & 15 == 0:  # first and last coefficient, then the bits before and left to come
            complete |= {(component, k) for component in components for k in range(rest[0], rest[1] + 1)}
    return len(complete) == 64 * frame[9]


def _ends_to_try(data: bytes) -> tuple[bytes, bytes]:
    noise = bytes(range(254, 0, -3))
    stuffed = b"\x00" if data.endswith(b"\xff") else b""  # inside a scan FF 00 stands for the value FF
    restarts = b"".join(b"\xff" + bytes([mark]) + noise for mark in range(0xD0, 0xD8))  # the scan may wait for any
    return b"\xff\xd9", stuffed + noise + restarts + b"\xff\xd9"


def _to_rgb(image: Image.Image, name: str) -> Image.Image:
    mode = image.mode
    if mode == "RGB" and "transparency" not in image.info:
        return image
    if mode.startswith("I;16") or (mode == "I" and image.format == "PPM"):  # Pillow scales any PGM to 16 bits
        return _from_16_bit(image)
    if mode == "F":
        raise ImageError(name, "float_range", "float pixels, whose range is not stated; save as 8 or 16 bit")
    if mode == "I":
        raise ImageError(name, "unsupported", "32-bit or signed pixels, whose range is not stated; save as 8 or 16 bit")
    if mode == "LAB":
        return _from_lab(image)
    if mode == "La":  # gray multiplied by its alpha already
        image = image.convert("LA")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _from_16_bit(image: Image.Image) -> Image.Image:
    """Keep the highest 8 bits, as Pillow does for 16-bit colour; its own conversion of gray would cut off at 255."""
    tags = getattr(image, "tag_v2", {})  # of a TIFF
    bits = tags.get(258, (16,))[0]
    values = np.asarray(image)
    gray = (values >> (bits - 8)).astype(np.uint8)
    if tags.get(262) == 0:  # TIFF's "white is zero", which Pillow obeys for 8 bits only
        gray = 255 - gray
    if "transparency" in image.info:
        gray[values == image.info["transparency"]] = 255
    return Image.fromarray(gray).convert("RGB")


def _from_lab(image: Image.Image) -> Image.Image:
    from PIL import ImageCms

    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
    assert converted is not None
    return converted


def _explain(error: Exception, data: bytes, name: str) -> ImageError:
    if isinstance(error, Image.DecompressionBombError):
        return ImageError(name, "too_large", f"its header says more than {MAX_PIXELS:,} pixels")
    if isinstance(error, UnidentifiedImageError):
        return _explain_unknown(data, name)
    is_cut_webp = data[:4] == b"RIFF" and int.from_bytes(data[4:8], "little") + 8 > len(data)
    if is_cut_webp or "truncated" in str(error).lower():
        return ImageError(name, "truncated", "the file ends before the image does; copy or download it again")
    return ImageError(name, "damaged", f"cannot be decoded ({type(error).__name__}: {error})")


def _explain_unknown(data: bytes, name: str) -> ImageError:
    kind = format_of(data) or next(
        (kind for kind, start in _BEGINNINGS.items() if re.match(start, data, re.DOTALL | re.IGNORECASE)), None
    )
    if kind is None or kind == "HTML":
        detail = "a web page" if kind else f"none of {', '.join(FORMATS)}" if data else "the file is empty"
        return ImageError(name, "not_an_image", detail)
    if kind not in FORMATS:
        return ImageError(name, "unsupported", f"of kind {kind}; convert it to one of {', '.join(FORMATS)}")
    rest = "the rest is cut off, damaged, or of a kind that Pillow cannot decode"
    return ImageError(name, "damaged", f"begins as {kind}, but {rest}")
