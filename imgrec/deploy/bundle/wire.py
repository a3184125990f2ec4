"""A reader of the wire format of protocol buffers, enough to inspect an ONNX file.

It walks over the fields: no message is built, no bytes are copied, and a length that points past the end is an error
before memory is reserved. https://protobuf.dev/programming-guides/encoding
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from imgrec.errors import BundleError

__all__ = ["VARINT", "Field", "Message", "count_varints", "encode_text_field", "read_varints"]

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_MAX_VARINT_BYTES = 10


class Message(NamedTuple):
    """A message, text or packed numbers: bytes `start` to `end` of `data`."""

    data: memoryview
    start: int
    end: int

    @property
    def size(self) -> int:
        """The number of bytes."""
        return self.end - self.start

    def raw(self) -> memoryview:
        """Return the bytes, not copied."""
        return self.data[self.start : self.end]

    def text(self, *, limit: int = 1 << 20) -> str:
        """Return the bytes as text. Raises: BundleError: Longer than `limit`, or not UTF-8."""
        if self.size > limit:
            raise BundleError(f"a text of {self.size:,} bytes; at most {limit:,} are allowed")
        try:
            return bytes(self.raw()).decode("utf-8")
        except UnicodeDecodeError:
            raise BundleError("a text that is not UTF-8") from None

    def fields(self) -> "Iterator[Field]":
        """Yield the fields in order. Raises: BundleError: Truncated, or not this format."""
        place = self.start
        while place < self.end:
            key, place = _varint(self.data, place, self.end)
            number, kind = key >> 3, key & 7
            if kind == VARINT:
                value, place = _varint(self.data, place, self.end)
                yield Field(number, kind, value, self.empty())
                continue
            if kind == BYTES:
                length, place = _varint(self.data, place, self.end)
            elif kind in (FIXED64, FIXED32):
                length = 8 if kind == FIXED64 else 4
            else:
                raise BundleError(f"not a protocol buffer: wire type {kind} at byte {place}")
            if number == 0 or length > self.end - place:
                raise BundleError(f"truncated or damaged at byte {place}: {length:,} bytes should follow")
            yield Field(number, kind, 0, Message(self.data, place, place + length))
            place += length

    def empty(self) -> "Message":
        """Return a message of no bytes."""
        return Message(self.data, self.start, self.start)


class Field(NamedTuple):
    """One field: its number, its wire type, and its value as a number (varints) or as bytes (all others)."""

    number: int
    kind: int
    value: int
    content: Message

    def signed(self) -> int:
        """Return the number as a signed one of 64 bits."""
        return self.value - (1 << 64) if self.value >> 63 else self.value


def count_varints(content: Message) -> int:
    """Return how many numbers are packed into `content`: each ends with a byte below 128."""
    return int(np.count_nonzero(np.frombuffer(content.raw(), dtype=np.uint8) < 0x80))


def read_varints(content: Message) -> list[int]:
    """Return the signed numbers packed into `content`. Raises: BundleError."""
    numbers, place = [], content.start
    while place < content.end:
        value, place = _varint(content.data, place, content.end)
        numbers.append(value - (1 << 64) if value >> 63 else value)
    return numbers


def encode_text_field(number: int, content: bytes) -> bytes:
    """Return an encoded field of bytes."""
    return _encode_varint(number << 3 | BYTES) + _encode_varint(len(content)) + content


def _encode_varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def _varint(data: memoryview, place: int, end: int) -> tuple[int, int]:
    """Return a number below 2^64, and the position after it."""
    value = 0
    for shift in range(_MAX_VARINT_BYTES):
        if place >= end:
            raise BundleError(f"truncated at byte {place}")
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, place
    raise BundleError(f"not a protocol buffer: a number without end at byte {place}")
