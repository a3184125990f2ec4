"""Images not decoded yet: the same verdicts and pixels as `read_image`, and windows that match whole decoding."""

import random
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import imgrec.data.images.lazy_image
from imgrec.data import ArrayImages, FileImages, read_image
from imgrec.data.images.image import decode_image
from imgrec.data.images.lazy_image import DecodedImage, JpegImage, LazyImage, image_from_bytes, open_image
from imgrec.data.samples import ImagesView, UInt8Array
from imgrec.errors import ImageError


def photograph(height: int = 300, width: int = 400) -> UInt8Array:
    """Return smooth shapes without symmetry, as a photograph has, and some noise."""
    small = np.random.default_rng(0).integers(0, 256, (height // 25 + 1, width // 25 + 1, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    noise = np.random.default_rng(1).integers(-4, 5, (height, width, 3))
    return np.clip(smooth + noise, 0, 255).astype(np.uint8)


def encode(image: UInt8Array, file_format: str = "JPEG", *, orientation: int = 1, **options: Any) -> bytes:
    exif = Image.Exif()
    if orientation != 1:
        exif[0x0112] = orientation
    buffer = BytesIO()
    Image.fromarray(image).save(buffer, file_format, exif=exif, **options)
    return buffer.getvalue()


def opened(data: bytes) -> LazyImage:
    return image_from_bytes(data, name="image")


def psnr(first: UInt8Array, second: UInt8Array) -> float:
    error = ((first.astype(float) - second) ** 2).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


@pytest.fixture
def only_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no whole image be decoded by Pillow: what comes out then came from the fast way."""

    def refuse(data: bytes, *, name: str) -> UInt8Array:
        raise AssertionError(name)

    monkeypatch.setattr(imgrec.data.images.lazy_image, "decode_image", refuse)


# Windows


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("box", "size"), [((0, 0, 9, 9), (9, 9)), ((20, 30, 220, 130), (90, 180))])
@pytest.mark.usefixtures("only_in_part")
def test_at_full_scale_a_window_equals_whole_decoding(
    orientation: int, box: tuple[int, int, int, int], size: tuple[int, int]
) -> None:
    data = encode(photograph(), orientation=orientation)
    image = opened(data)
    whole = DecodedImage(decode_image(data, name="image"))
    assert isinstance(image, JpegImage)
    assert image.height_width == whole.height_width
    for interpolation in ("bilinear", "lanczos", "fast"):
        result = image.window(box, size=size, interpolation=interpolation)  # type: ignore[arg-type]
        expected = whole.window(box, size=size, interpolation=interpolation)  # type: ignore[arg-type]
        assert result.flags.c_contiguous
        # what lies on its side is resized columns first, not rows first, and rounded between
        assert np.abs(result.astype(int) - expected).max() <= (0 if orientation == 1 else 2)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(100, 80), (50, 40), (25, 20), (13, 11)])
@pytest.mark.usefixtures("only_in_part")
def test_a_reduced_window_is_near_whole_decoding(orientation: int, size: tuple[int, int]) -> None:
    data = encode(photograph(400, 500), orientation=orientation, quality=90)
    image, whole = opened(data), DecodedImage(decode_image(data, name="image"))
    box = (33, 51, 33 + 237, 51 + 301)
    assert psnr(image.window(box, size=size), whole.window(box, size=size)) > 38


@pytest.mark.parametrize(
    ("size", "scale"),
    [((200, 100), 1), ((101, 50), 1), ((100, 51), 1), ((100, 50), 2), ((51, 25), 2), ((50, 25), 4), ((25, 12), 8)],
)
def test_nothing_is_decoded_smaller_than_it_is_needed(
    size: tuple[int, int], scale: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    decode = imgrec.data.images.lazy_image.decode_rows

    def watched(*args: Any, **options: Any) -> UInt8Array | None:
        seen.append(options["scale"])
        return decode(*args, **options)

    monkeypatch.setattr(imgrec.data.images.lazy_image, "decode_rows", watched)
    image = opened(encode(photograph()))
    assert image.window((10, 20, 110, 220), size=size).shape == (*size, 3)
    assert seen == [scale]


def test_windows_of_other_formats_are_cut_out_of_the_whole() -> None:
    image = photograph()
    for file_format in ("PNG", "BMP"):
        result = opened(encode(image, file_format)).window((10, 20, 110, 220), size=(50, 25))
        assert np.array_equal(result, DecodedImage(image).window((10, 20, 110, 220), size=(50, 25)))


def test_a_file_that_libjpeg_refuses_is_refused_as_whole() -> None:
    data = encode(photograph())
    broken = data.replace(b"\xff\xda\x00\x0c\x03\x01\x00", b"\xff\xda\x00\x0c\x03\x01\x33")
    with pytest.raises(ImageError) as expected:
        decode_image(broken, name="image")
    image = opened(broken)
    for use in (image.pixels, lambda: image.window((0, 0, 100, 100), size=(10, 10))):
        with pytest.raises(ImageError) as caught:
            use()
        assert str(caught.value) == str(expected.value)


# Verdicts and pixels as read_image


def agrees(data: bytes) -> bool:
    """Whether a window, the pixels and `decode_image` all say the same."""
    try:
        expected: Any = decode_image(data, name="image")
    except ImageError as error:
        expected = error.code
    try:
        image = image_from_bytes(data, name="image", min_side_px=0)
        height, width = image.height_width
        window = image.window((0, 0, width, max(1, height // 2)), size=(max(1, height // 4), max(1, width // 3)))
        found: Any = image.pixels()
        assert window.shape[2] == 3
        assert not isinstance(expected, str)  # a window was given of what `decode_image` refuses
        return found.shape == expected.shape and bool(np.array_equal(found, expected))
    except ImageError as error:
        return bool(error.code == expected)


def test_every_nasty_file_is_judged_and_decoded_as_by_read_image(shared_data: Path) -> None:
    files = sorted((shared_data / "nasty" / "files").iterdir())
    assert len(files) == 100
    assert [path.name for path in files if not agrees(path.read_bytes())] == []


@pytest.mark.guard
def test_every_jpeg_of_the_shared_sets_is_decoded_bit_for_bit(shared_data: Path) -> None:
    files = [path for name in ("hymenoptera", "flowers8", "brain_mri") for path in (shared_data / name).rglob("*.jp*g")]
    assert len(files) > 700
    assert [path for path in files if not agrees(path.read_bytes())] == []


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Return the file cut off, with a piece taken out or put in, or with some bytes changed."""
    broken, kind, place = bytearray(data), rng.random(), rng.randrange(len(data))
    if kind < 0.15:
        return data[:place]
    if kind < 0.25:
        return data[:place] + b"\xff\xd9"
    if kind < 0.4:
        del broken[place : place + rng.randrange(1, 200)]
        return bytes(broken)
    if kind < 0.5:
        broken[place:place] = rng.randbytes(rng.randrange(1, 20))
        return bytes(broken)
    for _ in range(rng.choice((1, 1, 2, 8))):
        end = min(700, len(data)) if kind < 0.8 else len(data)
        broken[rng.randrange(end)] = rng.choice((rng.randrange(256), 0, 255))
    return bytes(broken)


@pytest.mark.parametrize(
    "options",
    [{}, {"progressive": True}, {"subsampling": "4:4:4"}, {"restart_marker_rows": 1}, {"orientation": 6}],
    ids=str,
)
def test_damaged_files_are_judged_and_decoded_as_by_decode_image(options: dict[str, Any]) -> None:
    data = encode(photograph(64, 96), **options)
    rng = random.Random(str(options))
    assert [number for number in range(150) if not agrees(damaged(data, rng))] == []


def test_an_orientation_that_does_not_exist_is_upright() -> None:
    data = encode(photograph(), orientation=22)
    assert opened(data).height_width == (300, 400)
    assert agrees(data)


def test_an_image_too_large_is_refused_before_decoding() -> None:
    data = encode(photograph(64, 96))
    huge = data.replace(b"\x00\x11\x08\x00\x40\x00\x60", b"\x00\x11\x08\xff\x00\xff\x00")
    with pytest.raises(ImageError, match=r"more than 89,478,485 pixels \[too_large\]"):
        opened(huge)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
def test_an_image_too_small_is_refused_unless_allowed(file_format: str) -> None:
    data = encode(photograph(7, 50), file_format)
    with pytest.raises(ImageError, match=r"50x7 px; at least 8 a side \[too_small\]"):
        opened(data)
    assert image_from_bytes(data, name="image", min_side_px=1).height_width == (7, 50)


# Collections


def test_files_are_opened_and_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encode(photograph()))
    images = ImagesView(ImagesView(FileImages([path, path]), [1]), [0])
    monkeypatch.setattr(imgrec.data.images.lazy_image, "decode_rows", None)
    monkeypatch.setattr(imgrec.data.images.lazy_image, "decode_image", None)
    assert open_image(images, 0).height_width == (300, 400)
    monkeypatch.undo()
    assert np.array_equal(open_image(images, 0).pixels(), read_image(path))


def test_arrays_are_images_already() -> None:
    array = np.random.default_rng(0).integers(0, 256, (3, 5, 4, 3), dtype=np.uint8)
    image = open_image(ArrayImages(array), 1)
    assert image.height_width == (5, 4)
    assert np.array_equal(image.pixels(), array[1])
