"""What an image is described by."""

import numpy as np
import pytest
from PIL import Image

from imgrec.auditing.labels.features import describe_images, handcrafted_features, read_small, reduce_features
from imgrec.data.images.collections import ArrayImages, FileImages


def sample_images(count: int, side: int = 32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def test_a_description_is_of_each_image_by_itself():
    some = sample_images(6)
    together, alone = describe_images(some), np.concatenate([describe_images(some[i : i + 1]) for i in range(6)])
    assert together.shape == (6, 1056)
    assert together.dtype == np.float32
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_flat_images_are_described_by_finite_numbers():
    flat = np.stack([np.full((32, 32, 3), value, dtype=np.uint8) for value in (0, 128, 255)])
    assert np.isfinite(describe_images(flat)).all()


@pytest.mark.parametrize(("turn", "direction"), [(False, 0), (True, 4)])
def test_edges_are_counted_in_their_direction(turn, direction):
    image = np.zeros((32, 32, 3), dtype=np.uint8)
    image[:, ::8] = 255  # upright lines: the gradient goes across
    described = describe_images(image.transpose(1, 0, 2)[None] if turn else image[None])
    strength = described[0, :512].reshape(64, 8).sum(axis=0)
    assert int(strength.argmax()) == direction


def test_the_levels_of_the_colours_are_shares():
    red = np.zeros((1, 32, 32, 3), dtype=np.uint8)
    red[..., 0] = 255
    levels = describe_images(red)[0, -96:].reshape(3, 32) ** 2
    np.testing.assert_allclose(levels.sum(axis=1), 1, rtol=1e-5)
    assert levels[0, 31] == levels[1, 0] == levels[2, 0] == 1


def test_small_copies_are_squashed_with_antialiasing(tmp_path):
    stripes = np.zeros((128, 64, 3), dtype=np.uint8)
    stripes[::2] = 255
    Image.fromarray(stripes).save(tmp_path / "a.png")
    (small,) = read_small(FileImages([tmp_path / "a.png"]), np.array([0]))
    assert small.shape == (32, 32, 3)
    assert np.abs(small[2:-2].astype(int) - 127).max() <= 3


def test_images_of_the_right_size_stay_as_they_are():
    some = sample_images(3)
    assert (read_small(ArrayImages(some), np.array([2, 0])) == some[[2, 0]]).all()


def test_components_keep_what_the_full_description_tells():
    """Distances between images survive, as by scikit-learn's PCA."""
    from sklearn.decomposition import PCA

    some = describe_images(sample_images(200))
    reduced = reduce_features(lambda rows: some[rows], 200, seed=1)
    reference = PCA(n_components=128, svd_solver="full").fit_transform(some)
    assert reduced.shape == (200, 128)
    np.testing.assert_allclose(np.abs(reduced[:, :20]), np.abs(reference[:, :20]), atol=2e-3)


def test_each_image_is_described_once(monkeypatch):
    monkeypatch.setattr("imgrec.auditing.labels.features.SAMPLE_SIZE", 50)
    monkeypatch.setattr("imgrec.auditing.labels.features.CHUNK", 16)
    some, asked = describe_images(sample_images(120)), []

    def describe(rows: np.ndarray) -> np.ndarray:
        asked.extend(rows.tolist())
        return some[rows]

    some[60:] = some[:60]
    reduced = reduce_features(describe, 120, seed=1)
    assert reduced.shape == (120, 50)
    np.testing.assert_allclose(reduced[60:], reduced[:60], atol=1e-5)
    assert sorted(asked) == list(range(120))


def test_the_seed_decides_and_the_order_of_rows_is_kept():
    images = ArrayImages(sample_images(40))
    first, again = (handcrafted_features(images, np.arange(40), seed=1) for _ in range(2))
    assert (first == again).all()
    assert (handcrafted_features(images, [], seed=1)).shape == (0, 0)
