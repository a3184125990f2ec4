"""The image formats that imgrec reads, by the endings of file names and by the first bytes of files."""

import re

__all__ = ["FORMATS", "FORMAT_OF_SUFFIX", "HEAD_BYTES", "format_of"]

# In the order in which Pillow tries them. Not all that it knows: each parser is one more for a hostile file to reach.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF")
FORMAT_OF_SUFFIX = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), "JPEG"),
    ".png": "PNG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".gif": "GIF",
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    **dict.fromkeys((".ppm", ".pgm", ".pbm", ".pnm"), "PPM"),
    ".avif": "AVIF",
}
HEAD_BYTES = 32  # that `format_of` needs
_BMP_HEADER_SIZES = b"|".join(re.escape(size.to_bytes(4, "little")) for size in (12, 40, 52, 56, 64, 108, 124))
_BEGINNINGS = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "WEBP": rb"RIFF....WEBP",
    "BMP": rb"BM.{12}(" + _BMP_HEADER_SIZES + rb")",
    "GIF": rb"GIF8[79]a",
    "TIFF": rb"II\*\0|MM\0\*",
    "PPM": rb"P[1-6][ \t\r\n#]",
    "AVIF": rb"....ftypavi[fs]",
}
_PATTERNS = {kind: re.compile(beginning, re.DOTALL) for kind, beginning in _BEGINNINGS.items()}


def format_of(head: bytes) -> str | None:
    """Return the format of a file by its first `HEAD_BYTES` bytes, None for one that imgrec does not read."""
    return next((kind for kind, pattern in _PATTERNS.items() if pattern.match(head)), None)
