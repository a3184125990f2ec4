"""A process that decodes untrusted images one after another, with little memory, no way to write, and no secrets.

It may be killed at any moment, by its own limits or by the server (`imgrec.serve.engine.decoder`). A request is the
length of the preprocessing, the length of the image, both in bytes, then both. The response is OK, height, width and the
pixels, or the index of a reason in CODES.
"""

import json
import os
import resource
import signal
import socket
import struct
import sys
from contextlib import suppress
from functools import lru_cache
from io import BytesIO

from PIL import Image

from imgrec.data.images.formats import FORMATS
from imgrec.data.images.lazy_image import image_from_bytes
from imgrec.data.images.pillow_warnings import no_pillow_warnings
from imgrec.data.images.preprocess import Preprocess
from imgrec.data.samples import UInt8Array
from imgrec.errors import DataError, ImageError

__all__ = ["ANSWER", "CODES", "OK", "READY", "REQUEST", "serve"]

REQUEST = struct.Struct(">II")
ANSWER = struct.Struct(">BII")
OK = 255
READY = b"R"
CODES = (
    "undecodable", "not_an_image", "unsupported", "truncated", "damaged", "float_range", "too_large", "too_small",
    "wrong_size",
)  # fmt: skip
_GRACE_S = 2.0  # the server kills first; this only makes sure that no hung process outlives it


def serve(connection: socket.socket, *, timeout_s: float, max_pixels: int) -> None:
    """Answer requests until the other side ends."""
    connection.sendall(READY)
    while True:
        spec_bytes, image_bytes = REQUEST.unpack(_receive(connection, REQUEST.size))
        spec, data = _receive(connection, spec_bytes), _receive(connection, image_bytes)
        # The default action of SIGALRM ends the process even inside a C library.
        signal.setitimer(signal.ITIMER_REAL, timeout_s + _GRACE_S)
        try:
            pixels = _prepared(data, _preprocess(spec), max_pixels)
        except ImageError as error:
            connection.sendall(ANSWER.pack(CODES.index(error.code) if error.code in CODES else 0, 0, 0))
        except MemoryError:
            connection.sendall(ANSWER.pack(CODES.index("too_large"), 0, 0))
        except DataError:  # the preprocessing resizes nothing
            connection.sendall(ANSWER.pack(CODES.index("wrong_size"), 0, 0))
        else:
            connection.sendall(ANSWER.pack(OK, pixels.shape[0], pixels.shape[1]))
            connection.sendall(pixels.tobytes())
        signal.setitimer(signal.ITIMER_REAL, 0)


def _prepared(data: bytes, preprocess: Preprocess, max_pixels: int) -> UInt8Array:
    _refuse_too_large(data, max_pixels)
    return preprocess.from_lazy_image(image_from_bytes(data, name="image"))


def _refuse_too_large(data: bytes, max_pixels: int) -> None:
    """Raise ImageError for a header that says more pixels; whatever else is wrong is found when it is decoded."""
    width = height = 0
    with suppress(Exception), no_pillow_warnings:
        width, height = Image.open(BytesIO(data), formats=FORMATS).size
    if width * height > max_pixels:
        raise ImageError("image", "too_large", f"more than {max_pixels} pixels")


@lru_cache(maxsize=16)
def _preprocess(spec: bytes) -> Preprocess:
    return Preprocess.from_dict(json.loads(spec))


def _receive(connection: socket.socket, size: int) -> bytes:
    buffer = bytearray(size)
    view = memoryview(buffer)
    done = 0
    while done < size:
        received = connection.recv_into(view[done:])
        if not received:
            raise EOFError
        done += received
    return bytes(buffer)


def _limit(memory_mb: int) -> None:
    """Give up what a process that only decodes does not need; memory counts from what it has now."""
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
        pages = int(file.read().split()[0])
    memory = pages * resource.getpagesize() + memory_mb * 1_000_000
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # no file grows
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold the image
    resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))


def _main() -> None:
    descriptor, timeout_s, memory_mb, max_pixels = sys.argv[1:]
    Image.init()
    _limit(int(memory_mb))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # C libraries complain there
    connection = socket.socket(fileno=int(descriptor))
    with suppress(EOFError, ConnectionError):  # the server has ended
        serve(connection, timeout_s=float(timeout_s), max_pixels=int(max_pixels))


if __name__ == "__main__":
    _main()
