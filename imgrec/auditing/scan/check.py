"""The unit of a scan's work: one picture, decoded whole, becomes its facts."""

import hashlib
from pathlib import Path

from imgrec.auditing.scan.facts import PictureFacts
from imgrec.auditing.scan.header import read_header
from imgrec.auditing.scan.measure import measure_pixels
from imgrec.data.images.image import decode_image, read_regular_file, refuse_too_small
from imgrec.data.samples import UInt8Array
from imgrec.errors import ImageError

__all__ = ["check", "check_one", "check_pixels"]


def check(picture: str | UInt8Array) -> PictureFacts:
    """Return the facts of a file, given its path, or of pixels. Raises nothing that the picture is to blame for."""
    return check_one(Path(picture)) if isinstance(picture, str) else check_pixels(picture)


def check_one(path: Path) -> PictureFacts:
    """Return the facts of a file. It is read once, so that digest, header and pixels are of the same bytes."""
    name = str(path)
    try:
        data = read_regular_file(path)
    except ImageError as error:
        return PictureFacts(code=error.code, detail=printable(error.detail))
    digest = hashlib.sha256(data).hexdigest()
    try:
        image = decode_image(data, name=name)
        refuse_too_small((image.shape[0], image.shape[1]), name=name)
    except ImageError as error:
        return PictureFacts(code=error.code, detail=printable(error.detail), num_bytes=len(data), file_sha256=digest)
    kind, mode, flags = read_header(data, name=name)
    return PictureFacts(
        format=kind, mode=mode, flags=flags, num_bytes=len(data), file_sha256=digest, **measure_pixels(image)
    )


def check_pixels(image: UInt8Array) -> PictureFacts:
    """Return the facts of a picture in memory, uint8 (H, W, 3)."""
    return PictureFacts(num_bytes=image.nbytes, **measure_pixels(image))


def printable(detail: str) -> str:
    """Return text that can be written as UTF-8: messages of decoders may quote bytes that are no text."""
    return detail.encode("utf-8", "backslashreplace").decode()
