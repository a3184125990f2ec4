"""Plain JPEGs: which they are, and that decoding in part gives what decoding the whole gives."""

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

import imgrec.data.images.jpeg
from imgrec.data.images.image import decode_image
from imgrec.data.images.jpeg import Scale, decode_rows, decodes_as_pillow, read_plain_jpeg
from imgrec.data.samples import UInt8Array


def pixels(height: int = 75, width: int = 101) -> UInt8Array:
    """Return a smooth image with colour in it."""
    y, x = np.mgrid[:height, :width]
    return np.dstack([x * 255 // width, y * 255 // height, (x * y // 7) % 256]).astype(np.uint8)


def jpeg(image: UInt8Array | None = None, *, mode: str = "RGB", **options: Any) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels() if image is None else image).convert(mode).save(buffer, "JPEG", **options)
    return buffer.getvalue()


KINDS: dict[str, dict[str, Any]] = {
    "4:4:4": {"subsampling": "4:4:4", "quality": 95},
    "4:2:2": {"subsampling": "4:2:2"},
    "4:2:0": {"subsampling": "4:2:0"},
    "gray": {"mode": "L"},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_rows": 1},
    "icc": {"icc_profile": b"a profile of some bytes"},
}


# Decoding in part


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("height", "width"), [(75, 101), (64, 48), (17, 9), (1, 1), (8, 200)])
def test_the_whole_is_bit_for_bit_pillows(kind: str, height: int, width: int) -> None:
    data = jpeg(pixels(height, width), **KINDS[kind])
    plain = read_plain_jpeg(data)
    assert plain is not None
    result = decode_rows(plain, rows=height)
    assert result is not None
    assert np.array_equal(result, decode_image(data, name="image"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_the_upper_rows_do_not_depend_on_where_decoding_stops(kind: str, scale: Scale) -> None:
    data = jpeg(**KINDS[kind])
    plain = read_plain_jpeg(data)
    assert plain is not None
    whole = decode_rows(plain, rows=75, scale=scale)
    assert whole is not None
    assert whole.shape == (-(-75 // scale), -(-101 // scale), 3)
    for rows in range(1, 76):
        part = decode_rows(plain, rows=rows, scale=scale)
        assert part is not None
        wanted = -(-rows // scale)
        assert np.array_equal(part[:wanted], whole[:wanted]), rows


def test_rows_below_are_not_decoded() -> None:
    plain = read_plain_jpeg(jpeg(subsampling="4:2:0"))
    assert plain is not None
    part = decode_rows(plain, rows=10)
    assert part is not None
    assert part.shape == (16, 101, 3)


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_a_reduced_image_is_about_the_mean_of_its_blocks(scale: Scale) -> None:
    image = pixels(80, 160)
    plain = read_plain_jpeg(jpeg(image, quality=95, subsampling="4:4:4"))
    assert plain is not None
    reduced = decode_rows(plain, rows=80, scale=scale)
    assert reduced is not None
    means = image.reshape(80 // scale, scale, 160 // scale, scale, 3).mean(axis=(1, 3))
    assert np.abs(reduced[..., :2] - means[..., :2]).mean() < 2  # blue jumps from 255 to 0 in places


def test_this_installation_decodes_as_pillow() -> None:
    assert decodes_as_pillow()


def test_an_installation_that_decodes_otherwise_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    decode = imgrec.data.images.jpeg._decode

    def one_off(*args: Any, **options: Any) -> UInt8Array | None:
        image = decode(*args, **options)
        return None if image is None else image ^ 1

    monkeypatch.setattr(imgrec.data.images.jpeg, "_decode", one_off)
    decodes_as_pillow.cache_clear()
    assert not decodes_as_pillow()
    decodes_as_pillow.cache_clear()


# What is not plain


def test_the_header_is_read() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    plain = read_plain_jpeg(jpeg(exif=exif, subsampling="4:2:0"))
    assert plain is not None
    assert (plain.height_width, plain.orientation, plain.block_height, plain.one_scan) == ((75, 101), 6, 16, True)


def test_a_progressive_file_has_several_scans() -> None:
    plain = read_plain_jpeg(jpeg(progressive=True))
    assert plain is not None
    assert not plain.one_scan


def test_bytes_after_the_end_mark_do_not_matter() -> None:
    assert read_plain_jpeg(jpeg() + b"a camera's own notes") is not None


def adobe(transform: int) -> bytes:
    """Return a JPEG whose Adobe segment names a colour transform: 0 is RGB, 1 YCbCr."""
    segment = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([transform])
    data = jpeg()
    return data[:2] + segment + data[2:]


PLAIN = jpeg()
NOT_PLAIN = {
    "no JPEG": b"\x89PNG\r\n\x1a\n" + bytes(50),
    "empty": b"",
    "no end mark": PLAIN[:-2],
    "half": PLAIN[: len(PLAIN) // 2],
    "half, with an end mark": PLAIN[:300] + b"\xff\xd9",
    "another mark in coded data": PLAIN[:-50] + b"\xff\xe5" + PLAIN[-50:],
    "fill bytes": PLAIN[:-2] + b"\xff" + PLAIN[-2:],
    "something between segments": PLAIN[:20] + b"\x00" + PLAIN[20:],
    "CMYK": jpeg(mode="CMYK"),
    "Adobe RGB": adobe(0),
    "JFIF of another version": PLAIN.replace(b"JFIF\x00\x01", b"JFIF\x00\x03"),
    "12 bits": PLAIN.replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc0\x00\x11\x0c"),
    "too large": PLAIN.replace(b"\xff\xc0\x00\x11\x08\x00\x4b\x00\x65", b"\xff\xc0\x00\x11\x08\xff\x00\xff\x00"),
}


@pytest.mark.parametrize("what", NOT_PLAIN)
def test_other_files_are_not_taken(what: str) -> None:
    assert NOT_PLAIN[what] != PLAIN
    assert read_plain_jpeg(NOT_PLAIN[what]) is None


def test_adobes_ycbcr_is_plain() -> None:
    assert read_plain_jpeg(adobe(1)) is not None


def test_a_refusal_of_libjpeg_is_none() -> None:
    broken = PLAIN.replace(
        b"\xff\xda\x00\x0c\x03\x01\x00", b"\xff\xda\x00\x0c\x03\x01\x33"
    )  # a table that is not there
    assert broken != PLAIN
    plain = read_plain_jpeg(broken)
    assert plain is not None
    assert decode_rows(plain, rows=75) is None


def test_an_error_behind_a_warning_gives_no_pixels() -> None:
    """The turbojpeg interface calls an error that follows a warning a warning: memory comes back unwritten."""
    scan = PLAIN.index(b"\xff\xda\x00\x0c\x03")
    broken = PLAIN[: scan + 6] + b"\x33" + PLAIN[scan + 7 : scan + 11] + b"\x01" + PLAIN[scan + 12 :]
    plain = read_plain_jpeg(broken)
    assert plain is not None
    assert not plain.one_scan
    for rows in (8, 75):
        assert decode_rows(plain, rows=rows) is None
