"""What is odd about files that can be used."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from imgrec.auditing.scan.check import check_one
from imgrec.auditing.scan.header import read_header
from planted import jpeg, photograph

IMAGE = photograph(0, width=40, height=30)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    stream = BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(IMAGE, "JPEG", exif=exif)


FILES = {
    "plain.jpg": (jpeg(IMAGE, 90), ()),
    "PLAIN.JPEG": (jpeg(IMAGE, 90), ()),
    "no_extension": (jpeg(IMAGE, 90), ()),
    "cut.jpg": (jpeg(IMAGE, 90)[:-2], ("no_eoi",)),
    "more_behind.jpg": (jpeg(IMAGE, 90) + b"more", ()),
    "wrong.png": (jpeg(IMAGE, 90), ("wrong_extension",)),
    "long.png": (encoded(IMAGE.resize((600, 10)), "PNG"), ("extreme_aspect",)),
    "turned.jpg": (turned(), ("exif_rotated",)),
    "profile.jpg": (
        encoded(IMAGE, "JPEG", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()),
        ("icc_profile",),
    ),
    "gray.png": (encoded(IMAGE.convert("L"), "PNG"), ("gray",)),
    "bilevel.png": (encoded(IMAGE.convert("1"), "PNG"), ("gray",)),
    "palette.png": (encoded(IMAGE.convert("P"), "PNG"), ("palette",)),
    "cmyk.jpg": (encoded(IMAGE.convert("CMYK"), "JPEG"), ("cmyk",)),
    "alpha.png": (encoded(IMAGE.convert("RGBA"), "PNG"), ("alpha",)),
    "deep.png": (encoded(Image.fromarray(np.full((30, 40), 999, np.uint16)), "PNG"), ("gray", "sixteen_bit")),
    "deep.tif": (encoded(Image.fromarray(np.full((30, 40), 999, np.uint16)), "TIFF"), ("gray", "sixteen_bit")),
    "pages.tif": (encoded(IMAGE, "TIFF", save_all=True, append_images=[photograph(1)]), ("animated",)),
    "moving.gif": (encoded(IMAGE, "GIF", save_all=True, append_images=[photograph(1)]), ("animated", "palette")),
}


@pytest.mark.parametrize("name", FILES)
def test_flags_say_what_is_odd_and_nothing_else(tmp_path, name):
    data, flags = FILES[name]
    (tmp_path / name).write_bytes(data)
    facts = check_one(tmp_path / name)
    assert (facts.code, set(facts.flags) - {"palette"} if name == "moving.gif" else set(facts.flags)) == (
        "",
        set(flags) - {"palette"} if name == "moving.gif" else set(flags),
    )


def test_format_and_mode_are_of_the_content_and_size_is_upright(tmp_path):
    (tmp_path / "a.png").write_bytes(turned())
    facts = check_one(tmp_path / "a.png")
    assert (facts.format, facts.mode, facts.width, facts.height) == ("JPEG", "RGB", 30, 40)


def test_what_is_no_image_has_no_header():
    assert read_header(b"no image", name="a.jpg") == ("", "", ())


def test_a_file_that_cannot_be_used_keeps_its_size_and_digest(tmp_path):
    import hashlib

    data = jpeg(IMAGE, 90)[:500]
    (tmp_path / "a.jpg").write_bytes(data)
    facts = check_one(tmp_path / "a.jpg")
    assert (facts.code, facts.num_bytes) == ("truncated", 500)
    assert facts.file_sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(("side", "code"), [(7, "too_small"), (8, "")])
def test_a_side_below_8_pixels_is_too_small(tmp_path, side, code):
    IMAGE.resize((20, side)).save(tmp_path / "a.png")
    assert check_one(tmp_path / "a.png").code == code


def test_a_missing_file_is_unreadable():
    assert check_one(Path("/no/such/file.jpg")).code == "unreadable"
