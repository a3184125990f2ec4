"""imgrec.studies.baselines.features: HOG, LBP and colour histograms."""

import builtins

import numpy as np
import pytest
from skimage.feature import hog, local_binary_pattern

from imgrec.errors import DataError, MissingExtraError
from imgrec.studies.baselines.features import ColorHistogram, Lbp, choose_descriptor, working_factor
from imgrec.studies.baselines.hog import Hog
from imgrec.studies.baselines.pixels import gray, is_gray


def sample_images(count: int = 3, side: int = 20, *, is_gray: bool = False) -> np.ndarray:
    random = np.random.default_rng(0).integers(0, 256, (count, side, side, 1 if is_gray else 3), dtype=np.uint8)
    return np.repeat(random, 3, axis=3) if is_gray else random


def test_hog_of_gray_images_is_scikit_image_s():
    images = sample_images(is_gray=True)
    ours = Hog(orientations=9, block=2, is_gray=True)(images)
    theirs = [hog(image[..., 0], 9, (4, 4), (2, 2), "L2-Hys") for image in images]
    assert ours.shape == (3, 4 * 4 * 4 * 9)
    assert np.allclose(ours, theirs, atol=1e-6)


def test_hog_of_coloured_images_takes_the_strongest_channel_as_scikit_image_does():
    images = sample_images()
    theirs = [hog(image, 9, (4, 4), (2, 2), "L2-Hys", channel_axis=-1) for image in images]
    assert np.allclose(Hog()(images), theirs, atol=1e-6)


@pytest.mark.parametrize(("side", "cell", "block", "orientations"), [(28, 3, 2, 12), (29, 7, 1, 8), (17, 2, 3, 6)])
@pytest.mark.parametrize("in_colour", [False, True])
def test_hog_is_scikit_image_s_for_any_settings(side, cell, block, orientations, in_colour):
    images = sample_images(2, side, is_gray=not in_colour)
    images[:, :5] //= 64  # few levels: directions at the very edge of a bin, and pixels without any
    ours = Hog(cell_px=cell, block=block, orientations=orientations, is_gray=not in_colour)(images)
    theirs = [
        hog(
            image if in_colour else image[..., 0],
            orientations,
            (cell, cell),
            (block, block),
            "L2-Hys",
            channel_axis=-1 if in_colour else None,
        )
        for image in images
    ]
    assert np.allclose(ours, theirs, atol=1e-6)


def naive(image: np.ndarray, *, cell: int, orientations: int, degrees: int) -> np.ndarray:
    """Each gradient counts for two directions and four cells, by nearness: Dalal and Triggs 2005, section 6.3."""
    down, across = np.zeros(image.shape), np.zeros(image.shape)
    down[1:-1] = image[2:].astype(float) - image[:-2]
    across[:, 1:-1] = image[:, 2:].astype(float) - image[:, :-2]
    rows, columns = image.shape[0] // cell, image.shape[1] // cell
    cells = np.zeros((rows, columns, orientations))
    for y, x in np.ndindex(*image.shape):
        angle = np.degrees(np.arctan2(down[y, x], across[y, x])) % degrees
        for row, column, place in np.ndindex(*cells.shape):
            turned = abs(angle - (place + 0.5) * degrees / orientations)
            nearness = [
                1 - abs(y + 0.5 - (row + 0.5) * cell) / cell,
                1 - abs(x + 0.5 - (column + 0.5) * cell) / cell,
                1 - min(turned, degrees - turned) * orientations / degrees,
            ]
            cells[row, column, place] += np.hypot(down[y, x], across[y, x]) * np.prod(np.maximum(nearness, 0))
    return cells


@pytest.mark.parametrize(("is_signed", "degrees"), [(False, 180), (True, 360)])
def test_interpolated_gradients_count_for_the_nearest_directions_and_cells(is_signed, degrees):
    image = sample_images(1, 13, is_gray=True)
    ours = Hog(3, 6, block=1, is_signed=is_signed, interpolate=True, is_gray=True)(image).reshape(4, 4, 6)
    cells = naive(image[0, ..., 0], cell=3, orientations=6, degrees=degrees)
    clipped = np.minimum(cells / np.linalg.norm(cells, axis=2, keepdims=True), 0.2)
    assert np.allclose(ours, clipped / np.linalg.norm(clipped, axis=2, keepdims=True), atol=1e-6)


def test_signed_directions_tell_dark_to_bright_from_bright_to_dark():
    images = sample_images(is_gray=True)
    unsigned, signed = Hog(is_gray=True), Hog(is_signed=True, orientations=18, is_gray=True)
    assert np.allclose(unsigned(images), unsigned(255 - images), atol=1e-6)
    halves = signed(images).reshape(-1, 2, 9)
    assert np.allclose(halves[:, ::-1], signed(255 - images).reshape(-1, 2, 9), atol=1e-6)


def test_hog_with_a_border_is_hog_of_the_padded_image():
    images = sample_images(is_gray=True)
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)))
    assert np.array_equal(Hog(pad_px=2, is_gray=True)(images), Hog(is_gray=True)(padded))


def test_an_upright_edge_is_in_one_direction_of_hog():
    image = np.zeros((1, 8, 8, 3), dtype=np.uint8)
    image[:, :, 4:] = 255  # brightness changes from left to right alone
    cells = Hog(block=1, is_gray=True)(image).reshape(2, 2, 9)
    assert (cells[..., 1:] == 0).all()
    assert (cells[..., 0] > 0.9).all()


def test_a_blank_image_has_no_edges():
    assert not Hog(is_gray=True)(np.full((1, 16, 16, 3), 99, dtype=np.uint8)).any()


def test_lbp_is_the_histogram_of_scikit_image_s_codes():
    images = sample_images(is_gray=True)
    ours = Lbp(radii=(1, 2), grid=1)(images)
    for row, image in zip(ours, images, strict=True):
        for place, radius in enumerate((1, 2)):
            codes = local_binary_pattern(image[..., 0], 8, radius, method="uniform").astype(int)
            shares = np.bincount(codes.ravel(), minlength=10) / codes.size
            assert np.allclose(row[10 * place : 10 * place + 10] ** 2, shares, atol=1e-6)


def test_each_part_of_the_grid_has_its_own_histogram_of_patterns():
    image = sample_images(1, 16, is_gray=True)
    codes = local_binary_pattern(image[0, ..., 0], 8, 1, method="uniform").astype(int)
    corner = np.bincount(codes[:8, 8:].ravel(), minlength=10) / 64
    assert np.allclose(Lbp(radii=(1,), grid=2)(image).reshape(2, 2, 10)[0, 1] ** 2, corner, atol=1e-6)


def test_a_blank_image_is_one_pattern():
    shares = Lbp(radii=(1,), grid=1)(np.full((1, 9, 9, 3), 7, dtype=np.uint8))[0] ** 2
    assert shares[8] == pytest.approx(49 / 81, abs=0.2)  # all 8 neighbours as bright: inside; borders see zeros
    assert shares.sum() == pytest.approx(1, abs=1e-6)


def test_colours_are_counted_as_numpy_does():
    images = sample_images()
    ours = ColorHistogram()(images)
    for row, image in zip(ours, images, strict=True):
        counts, _ = np.histogramdd(image.reshape(-1, 3), bins=(8, 8, 8), range=[(0, 256)] * 3)
        assert np.allclose(row**2, counts.ravel() / 400, atol=1e-6)


def test_gray_images_have_a_histogram_of_brightness():
    images = sample_images(is_gray=True)
    counts, _ = np.histogram(images[0, ..., 0], bins=64, range=(0, 256))
    assert np.allclose(ColorHistogram(is_gray=True)(images)[0] ** 2, counts / 400, atol=1e-6)


def test_one_red_pixel_in_four_is_a_quarter_of_red():
    image = np.zeros((1, 2, 2, 3), dtype=np.uint8)
    image[0, 0, 0] = (255, 0, 0)
    shares = ColorHistogram()(image)[0] ** 2
    assert (shares[0], shares[7 * 64]) == (pytest.approx(0.75), pytest.approx(0.25))


def test_an_image_is_described_the_same_alone_and_among_others():
    images = sample_images(5)
    for descriptor in (Hog(), Lbp(), ColorHistogram()):
        assert np.array_equal(descriptor(images)[2:3], descriptor(images[2:3]))


def test_brightness_of_a_gray_image_is_its_value():
    images = sample_images(is_gray=True)
    assert is_gray(images)
    assert not is_gray(sample_images())
    assert np.array_equal(gray(images), images[..., 0])
    assert gray(np.array([[[[10, 20, 30]]]], dtype=np.uint8))[0, 0, 0] == pytest.approx(0.299 * 10 + 0.587 * 20 + 3.42)


@pytest.mark.parametrize(("side", "cell"), [(8, 2), (28, 4), (32, 4), (48, 6), (64, 8), (112, 14)])
def test_cells_grow_with_the_images(side, cell):
    chosen = choose_descriptor("hog", height_width=(side, side), is_gray=True)
    assert isinstance(chosen, Hog)
    assert chosen.cell_px == cell
    assert f"cells of {cell}" in str(chosen)
    features = chosen(sample_images(1, side, is_gray=True))
    assert features.shape[1] <= 4096


def test_only_small_gray_images_get_a_border():
    borders = {
        (side, is_gray): choose_descriptor("hog", height_width=(side, side), is_gray=is_gray).pad_px
        for side in (28, 64)
        for is_gray in (True, False)
    }
    assert borders == {(28, True): 2, (28, False): 0, (64, True): 0, (64, False): 0}


@pytest.mark.parametrize("name", ["hog", "lbp"])
def test_images_that_are_too_small_are_refused(name):
    with pytest.raises(DataError, match=f"Omit {name}"):
        choose_descriptor(name, height_width=(3, 3), is_gray=False)


def test_large_images_are_reduced_by_an_integer_factor():
    assert [working_factor((side, side)) for side in (28, 128, 129, 224, 300)] == [1, 1, 2, 2, 3]


def test_without_scikit_image_the_extra_is_named(monkeypatch):
    real = builtins.__import__

    def refuse(name, *arguments, **options):
        if name.startswith("skimage"):
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtraError, match=r"scikit-image is not installed.*imgrec\[classic\]"):
        Lbp()(sample_images(1))
