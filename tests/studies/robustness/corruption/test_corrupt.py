"""The 15 corruptions: recorded pixels, keyed draws, and what each does by its definition."""

import hashlib
import io
import json

import numpy as np
import pytest
from PIL import Image

from imgrec.studies.robustness.corruption import CORRUPTIONS, SEVERITIES, corrupt
from imgrec.studies.robustness.corruption.blur import smear, zoomed
from imgrec.studies.robustness.corruption.weather import fractal
from record_corruptions import FILE, IMAGES, cells, versions

BY_NAME = {corruption.name: corruption for corruption in CORRUPTIONS}
RECORDED = json.loads(FILE.read_text())
NOISY = ("gaussian_noise", "shot_noise", "impulse_noise")


def made(name, severity=3, *, image=IMAGES["large"], seed=1, index=7):
    return corrupt(image, BY_NAME[name], severity, seed=seed, index=index)


def test_there_are_the_fifteen_of_the_paper_in_four_families():
    families = [corruption.family for corruption in CORRUPTIONS]
    assert [families.count(family) for family in ("noise", "blur", "weather", "digital")] == [3, 4, 4, 4]
    assert all(len(c.small) == len(c.large) == len(SEVERITIES) for c in CORRUPTIONS)


def test_pixels_are_those_recorded():
    if versions() != RECORDED["versions"]:
        pytest.skip(f"pixels were recorded with {RECORDED['versions']}")
    recorded = {name: cell["sha256"] for name, cell in RECORDED["cells"].items()}
    changed = [name for name, made in cells() if hashlib.sha256(made.tobytes()).hexdigest() != recorded[name]]
    assert changed == []


def test_means_are_near_those_recorded_whatever_the_versions():
    far = {name: made.mean() for name, made in cells() if abs(made.mean() - RECORDED["cells"][name]["mean"]) > 1.5}
    assert far == {}


@pytest.mark.parametrize("name", BY_NAME)
def test_severity_zero_is_the_image_itself(name):
    assert made(name, 0) is IMAGES["large"]


@pytest.mark.parametrize("name", BY_NAME)
def test_a_cell_depends_on_its_key_alone(name):
    first = made(name)
    made(name, 5, index=3)
    assert np.array_equal(made(name), first)
    others = [made(name, seed=2), made(name, index=8)]
    is_random = name not in ("defocus_blur", "zoom_blur", "brightness", "contrast", "pixelate", "jpeg_compression")
    assert [not np.array_equal(other, first) for other in others] == [is_random, is_random]


@pytest.mark.parametrize("name", BY_NAME)
@pytest.mark.parametrize("shape", [(1, 1), (8, 8), (8, 40), (64, 65), (70, 224)])
def test_any_size_keeps_its_size(name, shape):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    for severity in (1, 5):
        found = made(name, severity, image=image)
        assert (found.shape, found.dtype) == (image.shape, np.uint8)


@pytest.mark.parametrize("name", BY_NAME)
def test_the_image_handed_in_is_not_changed(name):
    image = IMAGES["small"].copy()
    made(name, 5, image=image)
    assert np.array_equal(image, IMAGES["small"])


@pytest.mark.parametrize("size", ["small", "large"])
def test_on_average_the_image_is_left_further_at_each_severity(size):
    image = IMAGES[size].astype(float)
    distance = [
        np.mean([np.abs(made(name, severity, image=IMAGES[size]) - image).mean() for name in BY_NAME])
        for severity in SEVERITIES
    ]
    assert distance == sorted(distance)


def test_gaussian_noise_has_its_standard_deviation():
    gray = np.full((100, 100, 3), 128, dtype=np.uint8)
    change = made("gaussian_noise", 1, image=gray).astype(float) - 128
    assert change.mean() == pytest.approx(0, abs=0.5)
    assert change.std() == pytest.approx(0.08 * 255, rel=0.03)


def test_shot_noise_has_the_variance_of_photons():
    gray = np.full((100, 100, 3), 102, dtype=np.uint8)  # 0.4 of 60 photons: variance 0.4 / 60
    change = made("shot_noise", 1, image=gray).astype(float) - 102
    assert change.std() == pytest.approx(255 * np.sqrt(0.4 / 60), rel=0.03)


def test_impulse_noise_sets_its_share_to_black_and_white():
    gray = np.full((100, 100, 3), 128, dtype=np.uint8)
    found = made("impulse_noise", 5, image=gray)
    assert [(found == value).mean() for value in (0, 255)] == pytest.approx([0.135, 0.135], abs=0.01)
    assert set(np.unique(found)) == {0, 128, 255}


@pytest.mark.parametrize("name", ["defocus_blur", "glass_blur", "motion_blur", "zoom_blur"])
def test_blur_leaves_an_even_image_as_it_is_and_takes_detail_away(name):
    even = np.full((80, 80, 3), 90, dtype=np.uint8)
    assert np.abs(made(name, 5, image=even).astype(int) - 90).max() <= 1
    assert made(name, 5)[..., 1].std() < IMAGES["large"][..., 1].std()


def test_a_smear_goes_one_way():
    point = np.zeros((41, 41, 1), dtype=np.float32)
    point[20, 20] = 1
    trail = smear(point, radius=5, sigma=3, degrees=0)
    assert trail.sum() == pytest.approx(1, abs=1e-5)
    sides = trail[:20].sum() + trail[21:].sum(), trail[20, :20].sum(), trail[20, 21:].sum()
    assert sides[0] == pytest.approx(0, abs=1e-6)
    assert min(sides[1:]) == pytest.approx(0, abs=1e-6)


def test_zooming_by_one_changes_nothing_and_keeps_the_middle():
    image = np.random.default_rng(0).random((9, 11, 3)).astype(np.float32)
    np.testing.assert_allclose(zoomed(image, 1.0), image, atol=1e-6)
    np.testing.assert_allclose(zoomed(image, 2.0)[4, 5], image[4, 5], atol=1e-6)


def test_clouds_fill_their_range_and_are_rougher_with_less_decay():
    rough, smooth = (fractal(64, 96, np.random.default_rng(0), decay=decay) for decay in (1.3, 3))
    assert (rough.shape, rough.min(), rough.max()) == ((64, 96), 0, pytest.approx(1))
    assert np.abs(np.diff(rough)).mean() > 2 * np.abs(np.diff(smooth)).mean()


def test_brightness_adds_to_the_value_of_hsv():
    image = np.array([[[100, 50, 0]]], dtype=np.uint8)
    assert made("brightness", 1, image=np.tile(image, (64, 64, 1)))[0, 0, 0] in (125, 126)  # 100 + 0.1 x 255


def test_contrast_keeps_its_share_of_the_distance_from_the_mean():
    image = IMAGES["large"].astype(float)
    mean = image.mean(axis=(0, 1))
    np.testing.assert_allclose(made("contrast", 1), mean + 0.4 * (image - mean), atol=0.51)


def test_jpeg_is_pillows():
    file = io.BytesIO()
    Image.fromarray(IMAGES["large"]).save(file, "JPEG", quality=10)
    assert np.array_equal(made("jpeg_compression", 4), np.asarray(Image.open(file)))


def test_pixelate_is_pillows_boxes():
    small = Image.fromarray(IMAGES["large"]).resize((20, 18), Image.Resampling.BOX)
    assert np.array_equal(made("pixelate", 5), np.asarray(small.resize((80, 72), Image.Resampling.BOX)))


def test_small_images_have_the_parameters_for_small_ones():
    image = IMAGES["large"][:63, :63]
    mean = image.mean(axis=(0, 1))
    np.testing.assert_allclose(made("contrast", 1, image=image), mean + 0.75 * (image - mean), atol=0.51)
