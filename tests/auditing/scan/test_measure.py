"""Facts of pixels, against the formulas written out."""

import numpy as np
import pytest
from PIL import Image

from imgrec.auditing.scan.measure import border_share, colorfulness, measure_pixels, pixel_hash
from imgrec.data.images.properties import sharpness
from planted import photograph, table_of

IMAGE = np.asarray(photograph(0, width=60, height=40))
GRAY = np.asarray(Image.fromarray(IMAGE).convert("L"))


def test_the_pixel_hash_tells_shape_and_every_pixel():
    changed = IMAGE.copy()
    changed[3, 5, 1] ^= 1
    assert pixel_hash(IMAGE) == pixel_hash(IMAGE.copy())
    assert pixel_hash(IMAGE) == pixel_hash(np.asfortranarray(IMAGE))
    assert pixel_hash(IMAGE) != pixel_hash(changed)
    assert pixel_hash(IMAGE) != pixel_hash(IMAGE.reshape(60, 40, 3))


def test_brightness_and_contrast_are_mean_and_deviation_of_gray():
    facts = measure_pixels(IMAGE)
    assert facts["brightness"] == pytest.approx(GRAY.mean())
    assert facts["contrast"] == pytest.approx(GRAY.std())
    assert measure_pixels(np.full((20, 20, 3), 255, np.uint8))["brightness"] == 255


def test_sharpness_is_the_variance_of_the_laplacian():
    from scipy.ndimage import convolve

    laplacian = convolve(GRAY.astype(float), np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]]))[1:-1, 1:-1]
    assert sharpness(GRAY) == pytest.approx(laplacian.var(), rel=1e-4)


def test_a_blurred_image_is_less_sharp_and_a_tiny_one_not_at_all():
    blurred = np.asarray(Image.fromarray(GRAY).resize((15, 10)).resize((60, 40)))
    assert sharpness(blurred) < 0.5 * sharpness(GRAY)
    assert sharpness(GRAY[:2]) == 0


def test_colorfulness_is_that_of_hasler_and_suesstrunk():
    red, green, blue = (IMAGE[..., channel].astype(float) for channel in range(3))
    a, b = red - green, 0.5 * (red + green) - blue
    expected = np.sqrt(a.var() + b.var()) + 0.3 * np.sqrt(a.mean() ** 2 + b.mean() ** 2)
    assert colorfulness(IMAGE) == pytest.approx(expected, rel=1e-4)
    assert colorfulness(np.stack([GRAY] * 3, axis=2)) == 0


def test_the_border_is_the_share_of_the_area_in_a_frame_of_one_gray():
    framed = np.zeros((50, 100), np.uint8)
    framed[10:40, 20:80] = np.random.default_rng(0).integers(0, 256, (30, 60))
    assert border_share(framed) == pytest.approx(1 - 30 * 60 / (50 * 100))
    assert border_share(GRAY) == 0
    assert border_share(np.full((9, 9), 7, np.uint8)) == 1


def test_a_frame_is_seen_through_the_noise_of_compression():
    random = np.random.default_rng(0)
    framed = random.integers(0, 4, (50, 100)).astype(np.uint8)
    framed[10:40, :] = random.integers(0, 256, (30, 100))
    assert border_share(framed) == pytest.approx(0.4)


def test_size_hardly_changes_brightness_contrast_colour_and_thumbnail():
    large = photograph(0, width=1600, height=1200)
    one, other = measure_pixels(np.asarray(large)), measure_pixels(np.asarray(large.resize((800, 600))))
    for name in ("brightness", "contrast", "colorfulness"):
        assert one[name] == pytest.approx(other[name], rel=0.02)
    assert np.abs(one["thumbnail"].astype(int) - other["thumbnail"]).max() <= 2
    assert (one["width"], one["height"]) == (1600, 1200)


@pytest.mark.parametrize("size", [(8, 8), (8, 4000), (4000, 8), (31, 33)])
def test_images_of_any_shape_have_facts(size):
    height, width = size
    facts = table_of([np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)])
    assert facts.thumbnail.shape == (1, 32, 32)
    assert np.isfinite([facts.brightness, facts.contrast, facts.sharpness, facts.colorfulness, facts.border]).all()
