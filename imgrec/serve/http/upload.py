"""The images of a request, read into memory piece by piece, counted before they are kept."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from imgrec.serve.engine.admission import Admission
from imgrec.serve.http.refusals import Refusal

__all__ = ["UploadLimits", "read_images"]

_MAX_BOUNDARY = 200
_MAX_PART_HEADERS = 8192
_MAX_FIELDS = 32  # parts that are no images: each costs time, and one of 15 bytes as much as one of a megabyte
_ONE_IMAGE = ("image/", "application/octet-stream")


@dataclass(frozen=True)
class UploadLimits:
    """What one request may hold: bytes in all, and images."""

    max_bytes: int = 10_000_000
    max_images: int = 16


async def read_images(
    chunks: AsyncIterator[bytes], *, content_type: str, length: str | None, limits: UploadLimits, admission: Admission
) -> list[bytes]:
    """Return the images of a body: itself, or every part of multipart/form-data that has a file name.

    A name that comes with a part is not kept. length: the Content-Length that was announced, if any.
    Raises: Refusal: `body_too_large`, before more than the limit is in memory; `too_many_images`, `no_image`,
    `unsupported_media`, `bad_request`, or `busy`: too many bytes from all clients together.
    """
    kind, options = parse_options_header(content_type)
    is_form = kind == b"multipart/form-data"
    if not is_form and not content_type.lower().startswith(_ONE_IMAGE):
        raise Refusal("unsupported_media")
    if length is not None and length.isdigit() and int(length) > limits.max_bytes:
        raise Refusal("body_too_large")
    target = _Form(options.get(b"boundary", b""), limits) if is_form else _Whole()
    received = 0
    try:
        async for chunk in chunks:
            if received + len(chunk) > limits.max_bytes:
                raise Refusal("body_too_large")
            admission.add_bytes(len(chunk))
            received += len(chunk)
            target.write(chunk)
        images = target.images()
    finally:
        admission.add_bytes(-received)
    if not images:
        raise Refusal("no_image")
    return images


@dataclass
class _Whole:
    content: bytearray = field(default_factory=bytearray)

    def write(self, chunk: bytes) -> None:
        self.content += chunk

    def images(self) -> list[bytes]:
        return [bytes(self.content)] if self.content else []


class _Form:
    """Takes multipart/form-data apart. Fields that are no files are passed over."""

    def __init__(self, boundary: bytes, limits: UploadLimits) -> None:
        if not 0 < len(boundary) <= _MAX_BOUNDARY:
            raise Refusal("bad_request")
        self._limits = limits
        self._files: list[bytearray] = []
        self._parts = 0
        self._name, self._value, self._header_bytes = bytearray(), bytearray(), 0
        self._is_file = self._is_complete = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_field": lambda data, start, end: self._take_header(self._name, data[start:end]),
                "on_header_value": lambda data, start, end: self._take_header(self._value, data[start:end]),
                "on_header_end": self._end_header,
                "on_headers_finished": self._end_headers,
                "on_part_data": self._take_data,
                "on_end": self._end,
            },
        )

    def write(self, chunk: bytes) -> None:
        """Take a piece of the body. Raises: Refusal."""
        try:
            self._parser.write(chunk)
        except FormParserError:
            raise Refusal("bad_request") from None

    def images(self) -> list[bytes]:
        """Return what the files hold. Raises: Refusal `bad_request`: the body ended before its last boundary."""
        if not self._is_complete:
            raise Refusal("bad_request")
        return [bytes(file) for file in self._files]

    def _begin_part(self) -> None:
        self._is_file, self._header_bytes = False, 0
        self._parts += 1
        if self._parts > self._limits.max_images + _MAX_FIELDS:
            raise Refusal("bad_request")

    def _take_header(self, target: bytearray, piece: bytes) -> None:
        self._header_bytes += len(piece)
        if self._header_bytes > _MAX_PART_HEADERS:
            raise Refusal("bad_request")
        target += piece

    def _end_header(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._is_file = b"filename" in parse_options_header(bytes(self._value))[1]
        self._name.clear()
        self._value.clear()

    def _end_headers(self) -> None:
        if not self._is_file:
            return
        if len(self._files) == self._limits.max_images:
            raise Refusal("too_many_images")
        self._files.append(bytearray())

    def _take_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._files[-1] += data[start:end]

    def _end(self) -> None:
        self._is_complete = True
