"""Image files, undamaged and damaged, of which it is known whether they can be decoded."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image

FORMATS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "BMP": "bmp", "GIF": "gif", "TIFF": "tif"}


@dataclass(frozen=True)
class File:
    """An image file.

    Attributes:
        name: With an extension.
        data: Its bytes.
        kind: Format and damage.
        is_good: Whether it can be decoded completely; None where the damage does not tell.
    """

    name: str
    data: bytes
    kind: str
    is_good: bool | None


def files(num_clean: int, num_fuzzed: int) -> Iterator[File]:
    """Yield undamaged files, then damaged ones, in all formats and all kinds of damage in turn; always the same."""
    random = np.random.default_rng(0)
    formats = list(FORMATS)
    for number in range(num_clean + num_fuzzed):
        kind = formats[number % len(formats)]
        data = _encoded(random, kind)
        name = f"{number:05}.{FORMATS[kind]}"
        if number < num_clean:
            yield File(name, data, f"{kind} undamaged", True)
            continue
        damage = _DAMAGES[(number // len(formats)) % len(_DAMAGES)]
        name, data, is_good = damage(random, name, data)
        yield File(name, data, f"{kind} {damage.__name__.strip('_')}", is_good)


def _encoded(random: np.random.Generator, kind: str) -> bytes:
    width, height = (int(side) for side in random.integers(24, 90, 2))
    coarse = random.integers(0, 256, (6, 6, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    noise = random.integers(0, 40, (height, width, 3))
    stream = BytesIO()
    Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8)).save(stream, kind)
    return stream.getvalue()


Damaged = tuple[str, bytes, bool | None]


def _cut(random: np.random.Generator, name: str, data: bytes) -> Damaged:
    return name, data[: int(len(data) * random.uniform(0.1, 0.9))], False


def _empty(_: np.random.Generator, name: str, __: bytes) -> Damaged:
    return name, b"", False


def _garbage(random: np.random.Generator, name: str, data: bytes) -> Damaged:
    return name, b"\x01" + random.bytes(len(data)), False


def _web_page(_: np.random.Generator, name: str, __: bytes) -> Damaged:
    return name, b"<!DOCTYPE html><html><body>404 Not Found</body></html>", False


def _wiped_start(_: np.random.Generator, name: str, data: bytes) -> Damaged:
    return name, bytes(64) + data[64:], False


def _more_behind(random: np.random.Generator, name: str, data: bytes) -> Damaged:
    return name, data + random.bytes(50), True


def _other_extension(random: np.random.Generator, name: str, data: bytes) -> Damaged:
    return f"{name}.{random.choice(list(FORMATS.values()))}", data, True


def _flipped(random: np.random.Generator, name: str, data: bytes) -> Damaged:
    changed = bytearray(data)
    for place in random.integers(0, len(data), random.integers(1, 20)):
        changed[place] ^= 1 << int(random.integers(8))
    return name, bytes(changed), None


def _shuffled(random: np.random.Generator, name: str, data: bytes) -> Damaged:
    first, second = sorted(int(place) for place in random.integers(0, len(data), 2))
    return name, data[:first] + data[second:] + data[first:second], None


_DAMAGES = (_cut, _empty, _garbage, _web_page, _wiped_start, _more_behind, _other_extension, _flipped, _shuffled, _cut)
