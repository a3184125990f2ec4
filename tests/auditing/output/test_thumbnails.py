"""Images inside the page."""

import base64
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from audit_data import make_facts, sample_image, write_folders
from imgrec.auditing.output.thumbnails import LONGEST_PX, Thumbnails
from imgrec.data.images.collections import ArrayImages, FileImages
from imgrec.data.samples import Samples


def decoded(uri: str) -> Image.Image:
    return Image.open(BytesIO(base64.b64decode(uri.partition("base64,")[2])))


@pytest.fixture
def thumbnails(tmp_path: Path) -> Thumbnails:
    """Of a small file, a large one, one in memory, and one that is broken."""
    write_folders(tmp_path, {"small.png": sample_image(1, size=20), "large.png": sample_image(2, size=500)})
    files = FileImages([tmp_path / "small.png", tmp_path / "large.png", tmp_path / "gone.png"])
    arrays = ArrayImages(np.stack([sample_image(3, size=20)]))
    parts = {
        "train": Samples(["small.png", "large.png", "gone.png"], files, np.zeros(3, dtype=np.int64)),
        "test": Samples(["x/0"], arrays, np.zeros(1, dtype=np.int64)),
    }
    rows = [("train", "small.png", 0), ("train", "large.png", 0), ("train", "gone.png", 0), ("test", "x/0", 0)]
    return Thumbnails(make_facts(rows), parts)


def test_a_small_image_is_kept_pixel_for_pixel(thumbnails):
    assert np.array_equal(np.asarray(decoded(thumbnails.uri(0))), sample_image(1, size=20))
    assert np.array_equal(np.asarray(decoded(thumbnails.uri(3))), sample_image(3, size=20))


def test_a_large_image_is_made_small(thumbnails):
    image = decoded(thumbnails.uri(1))
    assert image.size == (LONGEST_PX, LONGEST_PX)
    assert image.format == "JPEG"


def test_a_file_that_is_gone_since_has_none(thumbnails):
    assert thumbnails.uri(2) == ""


def test_when_the_bytes_are_spent_there_are_no_more(thumbnails):
    first = thumbnails.uri(0)
    thumbnails.max_bytes = 2 * len(first)
    assert thumbnails.uri(0) == first
    assert [thumbnails.uri(0), thumbnails.uri(3)] == ["", ""]
