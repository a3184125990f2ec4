"""The task of a scan: decode one image and return its facts."""

import hashlib
from pathlib import Path

from imgrec.auditing.scan.facts import ImageFacts
from imgrec.auditing.scan.header import read_header
from imgrec.auditing.scan.measure import measure_pixels
from imgrec.data.images.image import decode_image, read_regular_file
from imgrec.data.images.limits import refuse_too_small
from imgrec.data.samples import UInt8Array
from imgrec.errors import ImageError

__all__ = ["check", "check_one", "check_pixels"]


def check(image: str | UInt8Array) -> ImageFacts:
    """Return the facts of a file, given its path, or of pixels. A bad image becomes a code, not an exception."""
    return check_one(Path(image)) if isinstance(image, str) else check_pixels(image)


def check_one(path: Path) -> ImageFacts:
    """Return the facts of a file. It is read once, so that digest, header and pixels belong to the same bytes."""
    name = str(path)
    try:
        data = read_regular_file(path)
    except ImageError as error:
        return ImageFacts(code=error.code, detail=printable(error.detail))
    digest = hashlib.sha256(data).hexdigest()
    try:
        image = decode_image(data, name=name)
        refuse_too_small((image.shape[0], image.shape[1]), name=name)
    except ImageError as error:
        return ImageFacts(code=error.code, detail=printable(error.detail), num_bytes=len(data), file_sha256=digest)
    kind, mode, flags = read_header(data, name=name)
    return ImageFacts(
        format=kind, mode=mode, flags=flags, num_bytes=len(data), file_sha256=digest, **measure_pixels(image)
    )


def check_pixels(image: UInt8Array) -> ImageFacts:
    """Return the facts of an image in memory, uint8 (H, W, 3)."""
    return ImageFacts(num_bytes=image.nbytes, **measure_pixels(image))


def printable(detail: str) -> str:
    """Return text that can be encoded as UTF-8: messages of decoders may quote arbitrary bytes."""
    return detail.encode("utf-8", "backslashreplace").decode()
