"""Decoding: what is taken, what it looks like afterwards, and what is refused under which name."""

import csv
import os
import pickle
import random
import socket
import struct
import threading
import warnings
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from imgrec.data.images.collections import ArrayImages, FileImages
from imgrec.data.images.image import FORMATS, decode_image, read_image
from imgrec.data.images.limits import MAX_FILE_BYTES, MAX_PIXELS, MAX_SIDE_PX
from imgrec.data.samples import UInt8Array
from imgrec.errors import DataError, ImageError


def encode(image: Image.Image, file_format: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def gradient(height: int = 40, width: int = 60) -> Image.Image:
    """Return a colour image without any symmetry."""
    y, x = np.mgrid[:height, :width]
    red, green, blue = x * 255 // width, y * 255 // height, (x * y * 7) % 256
    return Image.fromarray(np.dstack([red, green, blue]).astype(np.uint8))


def decode(data: bytes) -> UInt8Array:
    return decode_image(data, name="image")


def refusal(data: bytes) -> ImageError:
    with pytest.raises(ImageError) as caught:
        decode(data)
    return caught.value


def png_header(width: int, height: int) -> bytes:
    """Return a PNG that claims a size and holds no pixels."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    idat = b"IDAT"
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in (chunk, idat)
    )


# Real awkward files


@pytest.fixture(scope="module")
def nasty(shared_data: Path) -> list[tuple[dict[str, str], Path]]:
    with (shared_data / "nasty" / "index.csv").open(newline="", encoding="utf-8") as file:
        return [(row, shared_data / "nasty" / "files" / row["file"]) for row in csv.DictReader(file)]


def outcome(path: Path) -> UInt8Array | ImageError:
    try:
        return read_image(path)
    except ImageError as error:
        return error


def test_every_nasty_file_is_decoded_or_refused_as_its_verdict_says(nasty: list[tuple[dict[str, str], Path]]) -> None:
    assert len(nasty) == 100
    wrong = []
    for row, path in nasty:
        result = outcome(path)
        refused = isinstance(result, ImageError)
        if row["verdict"] != "policy" and refused != (row["verdict"] in ("reject", "unsupported")):
            wrong.append((row["file"], row["verdict"], result))
    assert wrong == []


def test_nasty_files_are_decoded_at_their_upright_size(nasty: list[tuple[dict[str, str], Path]]) -> None:
    checked = 0
    for row, path in nasty:
        result = outcome(path)
        if isinstance(result, ImageError) or not row["upright_w"]:
            continue
        assert result.shape == (int(row["upright_h"]), int(row["upright_w"]), 3), row["file"]
        assert result.dtype == np.uint8
        checked += 1
    assert checked >= 68


def test_16_bit_gray_files_are_not_saturated(nasty: list[tuple[dict[str, str], Path]]) -> None:
    gray = [path for row, path in nasty if row["mode"] in ("I;16B", "I")]
    assert len(gray) == 2
    for path in gray:
        assert np.array_equal(read_image(path)[..., 0], np.asarray(Image.open(path)) >> 8), path.name


# Colour


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_formats_keep_every_pixel(file_format: str) -> None:
    assert np.array_equal(decode(encode(gradient(), file_format)), np.asarray(gradient()))


@pytest.mark.parametrize("file_format", ["JPEG", "WEBP", "AVIF"])
def test_lossy_formats_equal_pillow(file_format: str) -> None:
    data = encode(gradient(), file_format)
    assert np.array_equal(decode(data), np.asarray(Image.open(BytesIO(data)).convert("RGB")))


def test_the_result_can_be_written_to() -> None:
    decode(encode(gradient(), "JPEG"))[0, 0] = 0


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr"])
def test_other_colour_modes_become_rgb(mode: str) -> None:
    image = gradient().convert(mode)
    assert np.array_equal(decode(encode(image, "TIFF")), np.asarray(image.convert("RGB")))


def test_lab_becomes_rgb() -> None:
    lab = Image.merge("LAB", [Image.new("L", (4, 4), value) for value in (255, 128, 128)])
    assert decode(encode(lab, "TIFF")).min() >= 254  # L* = 100 and no colour is white


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_on_white(mode: str) -> None:
    image = Image.new("RGBA", (3, 1))
    for x, alpha in enumerate((0, 128, 255)):
        image.putpixel((x, 0), (40, 40, 40, alpha))
    expected = [round(40 * alpha / 255 + 255 * (1 - alpha / 255)) for alpha in (0, 128, 255)]
    np.testing.assert_allclose(decode(encode(image.convert(mode), "PNG"))[0, :, 0], expected, atol=1)


def test_transparent_palette_entries_are_laid_on_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    one_entry = decode(encode(image, "PNG", transparency=0))
    each_entry = decode(encode(image, "PNG", transparency=bytes([0, 255])))
    assert one_entry.tolist() == each_entry.tolist() == [[[255, 255, 255], [40, 50, 60]]]


@pytest.mark.parametrize(
    ("mode", "hidden", "shown"), [("RGB", (1, 2, 3), (9, 9, 9)), ("L", 7, 9), ("1", 0, 1), ("I;16", 700, 9 * 256)]
)
def test_the_transparent_colour_of_a_png_is_laid_on_white(mode: str, hidden: Any, shown: Any) -> None:
    image = Image.new(mode, (2, 1), hidden)
    image.putpixel((1, 0), shown)
    pixels = decode(encode(image, "PNG", transparency=hidden))
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[0, 1].tolist() == ([255] * 3 if mode == "1" else [9] * 3)


def test_premultiplied_gray_is_laid_on_white() -> None:
    data = encode(Image.new("LA", (1, 1), (50, 128)), "TIFF")
    straight, multiplied = (struct.pack("<HHII", 338, 3, 1, kind) for kind in (2, 1))
    assert data.count(straight) == 1
    np.testing.assert_allclose(decode(data.replace(straight, multiplied))[0, 0], 50 + 127, atol=1)
    np.testing.assert_allclose(decode(data)[0, 0], 25 + 127, atol=1)


# Bit depth


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "PPM"])
def test_16_bit_gray_keeps_its_high_byte(file_format: str) -> None:
    values = np.linspace(0, 65535, 256 * 4, dtype=np.uint16).reshape(32, 32)
    pixels = decode(encode(Image.fromarray(values), file_format))
    assert np.array_equal(pixels, np.repeat((values >> 8)[..., None], 3, axis=2))


def test_16_bit_gray_and_16_bit_colour_are_scaled_alike() -> None:
    def png(colour_type: int, pixel: bytes) -> bytes:
        ihdr = b"IHDR" + struct.pack(">IIBBBBB", 1, 1, 16, colour_type, 0, 0, 0)
        parts = (ihdr, b"IDAT" + zlib.compress(b"\0" + pixel), b"IEND")
        return b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in parts
        )

    for value in (0, 255, 256, 40_000, 65_535):
        pixel = struct.pack(">H", value)
        assert np.array_equal(decode(png(0, pixel)), decode(png(2, pixel * 3)))


def test_white_is_zero_is_obeyed_at_16_bits() -> None:
    data = encode(Image.new("I;16", (2, 2), 0), "TIFF")
    photometric = struct.pack("<HHII", 262, 3, 1, 1)
    assert data.count(photometric) == 1
    inverted = data.replace(photometric, struct.pack("<HHII", 262, 3, 1, 0))
    assert decode(data).max() == 0
    assert decode(inverted).min() == 255


def test_12_bit_gray_uses_all_of_its_range() -> None:
    tags = [(256, 4, 2), (257, 4, 1), (258, 3, 12), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1), (279, 4, 3)]
    ifd = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, kind, 1, v) for tag, kind, v in tags)
    data = b"II*\0" + struct.pack("<I", 12) + b"\xff\xf8\x00\0" + ifd + b"\0\0\0\0"  # 0xFFF and 0x800
    assert decode(data)[0, :, 0].tolist() == [255, 128]


def test_float_pixels_are_refused_because_their_range_is_unknown() -> None:
    error = refusal(encode(Image.new("F", (4, 4), 0.5), "TIFF"))
    assert error.code == "float_range"
    assert "8 or 16 bit" in str(error)


def test_32_bit_pixels_are_refused_because_their_range_is_unknown() -> None:
    assert refusal(encode(Image.new("I", (4, 4), 70_000), "TIFF")).code == "unsupported"


# Orientation and frames


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_images_are_turned_upright(file_format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(gradient(), file_format, exif=exif)
    expected = ImageOps.exif_transpose(Image.open(BytesIO(data))).convert("RGB")
    assert expected.size == ((60, 40) if orientation < 5 else (40, 60))
    assert np.array_equal(decode(data), np.asarray(expected))


def test_orientation_1_to_8_of_a_lossless_image_by_hand() -> None:
    stored = np.asarray(gradient())
    by_hand: list[Callable[[UInt8Array], UInt8Array]] = [
        lambda a: a,
        lambda a: a[:, ::-1],
        lambda a: a[::-1, ::-1],
        lambda a: a[::-1],
        lambda a: a.transpose(1, 0, 2),
        lambda a: np.rot90(a, -1),
        lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        lambda a: np.rot90(a),
    ]
    for orientation, turn in enumerate(by_hand, start=1):
        exif = Image.Exif()
        exif[0x0112] = orientation
        assert np.array_equal(decode(encode(gradient(), "PNG", exif=exif)), turn(stored)), orientation


ORIENTATION_IS_TEXT = b"Exif\0\0II*\0" + struct.pack("<IHHHI4sI", 8, 1, 0x0112, 2, 4, b"abc", 0)


@pytest.mark.parametrize("exif", [b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0nonsense", ORIENTATION_IS_TEXT])
def test_broken_exif_does_not_cost_the_image(exif: bytes) -> None:
    assert np.array_equal(decode(encode(gradient(), "PNG", exif=exif)), np.asarray(gradient()))


@pytest.mark.parametrize("file_format", ["GIF", "PNG", "TIFF", "WEBP"])
def test_the_first_frame_is_taken(file_format: str) -> None:
    first, second = Image.new("RGB", (8, 8), (255, 0, 0)), Image.new("RGB", (8, 8), (0, 0, 255))
    data = encode(first, file_format, save_all=True, append_images=[second])
    assert Image.open(BytesIO(data)).n_frames == 2
    np.testing.assert_allclose(decode(data)[4, 4].astype(int), [255, 0, 0], atol=3)


# Refusals


def test_an_empty_file_is_not_an_image() -> None:
    error = refusal(b"")
    assert (error.code, error.path) == ("not_an_image", "image")
    assert "empty" in str(error)


@pytest.mark.parametrize("data", [b"garbage" * 50, b"<!DOCTYPE html><html>404</html>", b"\0" * 1000])
def test_other_content_is_not_an_image(data: bytes) -> None:
    assert refusal(data).code == "not_an_image"


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("HEIC", b"\0\0\0\x18ftypheic"),
        ("PSD", b"8BPS\0\1"),
        ("PDF", b"%PDF-1.7"),
        ("SVG", b'<?xml version="1.0"?>\n<svg>'),
        ("ICO", b"\0\0\1\0\1\0"),
        ("JPEG 2000", b"\0\0\0\x0cjP  \r\n"),
    ],
)
def test_a_format_that_is_not_read_is_named(kind: str, data: bytes) -> None:
    error = refusal(data)
    assert error.code == "unsupported"
    assert f"of kind {kind};" in str(error)
    assert "JPEG" in str(error)


def test_formats_outside_the_list_are_not_tried_even_if_pillow_could() -> None:
    for file_format in ("ICO", "TGA", "PCX", "JPEG2000", "EPS"):
        assert file_format not in FORMATS
        assert refusal(encode(gradient(32, 32), file_format)).code in ("unsupported", "not_an_image")


@pytest.mark.parametrize(
    ("width", "height"), [(MAX_SIDE_PX + 1, 1), (1, MAX_SIDE_PX + 1), (9460, 9460), (60_000, 60_000)]
)
def test_a_bomb_is_refused_from_its_header(width: int, height: int) -> None:
    error = refusal(png_header(width, height))  # decoding it would say `truncated`
    assert error.code == "too_large"
    assert f"{MAX_PIXELS:,}" in str(error)


def test_a_size_at_the_limit_passes_the_header_check() -> None:
    assert refusal(png_header(MAX_SIDE_PX, MAX_PIXELS // MAX_SIDE_PX)).code != "too_large"


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "PPM", "WEBP"])
def test_a_file_cut_in_its_pixels_is_truncated(file_format: str) -> None:
    data = encode(gradient(200, 300), file_format)
    for part in (0.5, 0.9):
        assert refusal(data[: int(len(data) * part)]).code == "truncated"


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}, {"optimize": True}])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_that_lacks_only_its_end_mark_is_taken(mode: str, options: dict[str, Any]) -> None:
    data = encode(gradient().convert(mode), "JPEG", **options)
    assert data.endswith(b"\xff\xd9")
    for num_missing in (1, 2):
        assert np.array_equal(decode(data[:-num_missing]), decode(data))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}, {"optimize": True}])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_cut_anywhere_else_is_never_taken(mode: str, options: dict[str, Any]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise).convert(mode), "JPEG", **options)
    codes = {refusal(data[:end]).code for end in range(1, len(data) - 2)}
    assert codes <= {"truncated", "damaged", "not_an_image"}
    assert refusal(data[: len(data) // 2]).code == "truncated"


def test_damaged_files_raise_nothing_but_image_errors() -> None:
    rng = random.Random(0)
    whole = [encode(gradient(), file_format) for file_format in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "PPM", "WEBP")]
    codes = set()
    for _ in range(700):
        data = bytearray(rng.choice(whole))
        for _ in range(rng.choice((1, 5, 20))):
            data[rng.randrange(min(len(data), rng.choice((64, 1 << 20))))] = rng.choice((0, 255, rng.randrange(256)))
        try:
            assert decode(bytes(data)).shape[2] == 3
        except ImageError as error:
            codes.add(error.code)
    assert "damaged" in codes


# Files


def test_a_name_and_a_wrong_extension_mean_nothing(tmp_path: Path) -> None:
    path = tmp_path / "photo ü\n.txt"
    path.write_bytes(encode(gradient(), "PNG"))
    assert np.array_equal(read_image(path), np.asarray(gradient()))


def test_a_name_that_is_not_utf8_is_read(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.png"))
    path.write_bytes(encode(gradient(), "PNG"))
    assert np.array_equal(read_image(path), np.asarray(gradient()))


def test_a_link_to_a_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real.png").write_bytes(encode(gradient(), "PNG"))
    (tmp_path / "link.png").symlink_to(tmp_path / "real.png")
    assert np.array_equal(read_image(tmp_path / "link.png"), np.asarray(gradient()))


def test_an_error_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "bad.jpg"
    path.write_bytes(b"")
    with pytest.raises(ImageError, match=r"bad\.jpg: .*\[not_an_image\]") as caught:
        read_image(path)
    assert caught.value.path == str(path)


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(path))


def make_link_to_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [Path.mkdir, make_fifo, make_socket, make_link_to_device])
def test_what_is_not_a_file_is_never_opened(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "x.jpg"
    make(path)
    with pytest.raises(ImageError) as caught:
        read_image(path)
    assert caught.value.code == "not_a_file"


def test_a_missing_file_a_broken_link_and_a_link_loop_are_unreadable(tmp_path: Path) -> None:
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("missing", "broken", "loop", "null\0character"):
        with pytest.raises(ImageError) as caught:
            read_image(tmp_path / name)
        assert caught.value.code == "unreadable", name


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may read everything")
def test_a_forbidden_file_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "secret.png"
    path.write_bytes(encode(gradient(), "PNG"))
    path.chmod(0)
    with pytest.raises(ImageError, match="Permission denied"):
        read_image(path)


def test_an_enormous_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.bmp"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)  # sparse: takes no space
    with pytest.raises(ImageError) as caught:
        read_image(path)
    assert caught.value.code == "too_large"


# Silence


@pytest.fixture
def image_that_warns() -> bytes:
    data = encode(gradient(), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01\x03\0\x01\0\0\0")
    with pytest.warns(UserWarning, match="Corrupt EXIF"):
        Image.open(BytesIO(data)).getexif()
    return data


def test_pillow_does_not_warn_through_us(image_that_warns: bytes) -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        decode(image_that_warns)
    assert seen == []


def test_warning_filters_are_as_before_when_many_threads_have_decoded(image_that_warns: bytes) -> None:
    before = list(warnings.filters)
    results: list[UInt8Array] = []
    threads = [
        threading.Thread(target=lambda: results.extend(decode(image_that_warns) for _ in range(30))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 240
    assert all(np.array_equal(result, results[0]) for result in results)
    assert list(warnings.filters) == before


# Collections


def test_file_images_are_read_when_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encode(gradient(), "PNG"))
    images = FileImages([path, tmp_path / "missing.png"])
    assert len(images) == 2
    assert np.array_equal(images[0], read_image(path))
    with pytest.raises(ImageError, match=r"missing\.png"):
        images[1]


@pytest.mark.parametrize("shape", [(5, 4, 6), (5, 4, 6, 1), (5, 4, 6, 3)])
def test_array_images_are_rgb(shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    images = ArrayImages(array)
    assert len(images) == 5
    assert images[3].shape == (4, 6, 3)
    assert np.array_equal(images[3], np.broadcast_to(array.reshape(5, 4, 6, -1)[3], (4, 6, 3)))


@pytest.mark.parametrize("shape", [(2, 4, 6), (2, 4, 6, 3)])
def test_changing_an_image_leaves_the_array_alone(shape: tuple[int, ...]) -> None:
    images = ArrayImages(np.zeros(shape, dtype=np.uint8))
    images[0][:] = 255
    assert images.array.max() == 0


def test_float_arrays_are_refused() -> None:
    with pytest.raises(DataError, match="float32, but must be uint8"):
        ArrayImages(np.zeros((2, 4, 4), dtype=np.float32))  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(4, 4), (2, 3, 4, 4), (2, 4, 4, 4), (2, 0, 4)])
def test_arrays_of_another_layout_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"shape .* must be \(N, H, W\)"):
        ArrayImages(np.zeros(shape, dtype=np.uint8))


def test_collections_say_whether_they_are_in_memory_and_pickle() -> None:
    array = ArrayImages(np.ones((1, 2, 2), dtype=np.uint8))
    assert array.in_memory
    assert not FileImages([]).in_memory
    assert np.array_equal(pickle.loads(pickle.dumps(array))[0], array[0])


@pytest.mark.parametrize(("width", "height"), [(7, 40), (40, 7), (1, 1)])
def test_files_of_a_data_set_must_have_8_pixels_a_side(tmp_path: Path, width: int, height: int) -> None:
    path = tmp_path / "dot.png"
    path.write_bytes(encode(gradient(height, width), "PNG"))
    assert read_image(path).shape == (height, width, 3)
    images = FileImages([path])
    for use in (lambda: images[0], lambda: images.open(0)):
        with pytest.raises(ImageError, match=rf"dot.png: {width}x{height} px; at least 8 a side \[too_small\]"):
            use()


def test_files_of_8_pixels_are_large_enough(tmp_path: Path) -> None:
    path = tmp_path / "icon.png"
    path.write_bytes(encode(gradient(8, 8), "PNG"))
    assert FileImages([path])[0].shape == (8, 8, 3)
    assert FileImages([path]).open(0).height_width == (8, 8)


def test_arrays_of_small_images_are_taken() -> None:
    assert ArrayImages(np.zeros((2, 4, 4), dtype=np.uint8))[0].shape == (4, 4, 3)
