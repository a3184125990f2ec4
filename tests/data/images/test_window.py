"""Windows of decoded pixels: equal to Pillow's crop and resize, whatever code makes them."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from imgrec.data.images.window import WindowInterpolation, resized_part
from imgrec.data.samples import UInt8Array


def sample_image(height: int = 90, width: int = 120) -> UInt8Array:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def by_pillow(image: UInt8Array, box: tuple[int, int, int, int], size: tuple[int, int], name: str) -> UInt8Array:
    cropped = Image.fromarray(image).crop(box)
    return np.asarray(cropped.resize((size[1], size[0]), Image.Resampling[name.upper()]))


boxes = st.tuples(st.integers(0, 119), st.integers(0, 89), st.integers(1, 120), st.integers(1, 90)).filter(
    lambda box: box[0] < box[2] and box[1] < box[3]
)
sizes = st.tuples(st.integers(1, 130), st.integers(1, 130))


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos"])
@settings(max_examples=25, deadline=None)
@given(box=boxes, size=sizes)
def test_a_window_is_pillows_crop_and_resize(
    interpolation: WindowInterpolation, box: tuple[int, int, int, int], size: tuple[int, int]
) -> None:
    result = resized_part(sample_image(), box, size=size, interpolation=interpolation)
    assert np.array_equal(result, by_pillow(sample_image(), box, size, interpolation))


@settings(max_examples=150, deadline=None)
@given(box=boxes, size=sizes)
@example(box=(109, 1, 117, 52), size=(110, 7))
def test_fast_is_bilinear_to_two_levels(box: tuple[int, int, int, int], size: tuple[int, int]) -> None:
    result = resized_part(sample_image(), box, size=size, interpolation="fast")
    expected = by_pillow(sample_image(), box, size, "bilinear")
    assert result.dtype == np.uint8
    assert result.flags.c_contiguous
    assert result.shape == (*size, 3)
    # Both round to 8 bits after each of two passes: a level in the first may become one more in the second.
    difference = np.abs(result.astype(int) - expected)
    assert difference.max() <= 2
    assert (difference > 1).mean() < 0.01


def test_a_box_through_pixels_takes_their_parts() -> None:
    ramp = np.repeat(np.arange(0, 160, 10, dtype=np.uint8)[None, :, None], 3, axis=2).repeat(4, axis=0)
    for interpolation in ("bilinear", "fast"):
        result = resized_part(ramp, (2.5, 0, 10.5, 4), size=(4, 8), interpolation=interpolation)  # type: ignore[arg-type]
        assert result[0, 1:-1, 0].tolist() == [25 + 10 * place for place in range(1, 7)]


def test_one_size_gives_the_pixels_as_a_copy() -> None:
    image = sample_image()
    result = resized_part(image, (10, 20, 40, 60), size=(40, 30), interpolation="fast")
    assert np.array_equal(result, image[20:60, 10:40])
    assert not np.shares_memory(result, image)
