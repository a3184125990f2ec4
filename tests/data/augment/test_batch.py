"""BatchAugment: the pixels of a naive loop and of albumentations; draws by key alone, with the right distribution."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import albumentations as A  # noqa: N812 - its own documentation's name
import cv2
import numpy as np
import pytest
from hydra.utils import instantiate
from numpy.typing import NDArray
from omegaconf import OmegaConf
from scipy import stats

from imgrec.data import ArrayImages, BatchAugment, Samples
from imgrec.data.augment.batch import BatchDraws, gather, happens
from imgrec.data.samples import UInt8Array
from imgrec.errors import ConfigError

PRESET = Path(__file__).resolve().parents[3] / "conf" / "augment" / "small_images.yaml"
FILL = (124, 116, 104)
LEAST_P = 1e-4  # of a statistical test; the draws are fixed by their keys, so that it passes always or never


def sample_images(count: int = 40, height: int = 32, width: int = 32) -> UInt8Array:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def preset() -> BatchAugment:
    augment = instantiate(OmegaConf.load(PRESET))
    assert isinstance(augment, BatchAugment)
    return augment


def draws(augment: BatchAugment, count: int = 50_000, *, seed: int = 1, epoch: int = 0, size: int = 32) -> BatchDraws:
    return augment.draw(size, size, seed=seed, epoch=epoch, indices=np.arange(count))


def places(augment: BatchAugment, **key: Any) -> NDArray[np.int64]:
    """Return the drawn shift of each image as one number, 0 to 80."""
    down, right = draws(augment, **key).shift + augment.shift_px
    return down * (2 * augment.shift_px + 1) + right


def hits(augment: BatchAugment, **key: Any) -> NDArray[np.bool_]:
    drawn = draws(augment, **key)
    return np.isin(np.arange(len(drawn.flip)), drawn.hit)


def uniform_p(values: NDArray[np.int64], kinds: int) -> float:
    return float(stats.chisquare(np.bincount(values, minlength=kinds)).pvalue)


def independent_p(first: NDArray[Any], second: NDArray[Any]) -> float:
    table = np.zeros((int(first.max()) + 1, int(second.max()) + 1))
    np.add.at(table, (first.astype(int), second.astype(int)), 1)
    return float(stats.chi2_contingency(table).pvalue)


# Pixels


def one_by_one(images: UInt8Array, drawn: BatchDraws, *, side: tuple[int, int]) -> UInt8Array:
    """Return what the drawn changes make of the images, one pixel after the other."""
    n, height, width, _ = images.shape
    result = np.empty_like(images)
    hole = dict(zip(drawn.hit.tolist(), drawn.hole.T.tolist(), strict=True))
    for i in range(n):
        down, right = drawn.shift[:, i].tolist()
        for y in range(height):
            for x in range(width):
                from_y, from_x = y - down, (width - 1 - x if drawn.flip[i] else x) - right
                from_y, from_x = abs(from_y), abs(from_x)
                from_y = 2 * (height - 1) - from_y if from_y >= height else from_y
                from_x = 2 * (width - 1) - from_x if from_x >= width else from_x
                result[i, y, x] = images[i, from_y, from_x]
                if i in hole and 0 <= y - hole[i][0] < side[0] and 0 <= x - hole[i][1] < side[1]:
                    result[i, y, x] = FILL
    return result


@pytest.mark.parametrize(("height", "width", "side"), [(32, 32, (8, 8)), (12, 20, (3, 5)), (5, 9, (1, 2))])
def test_pixels_are_those_of_a_loop_over_every_pixel(height: int, width: int, side: tuple[int, int]) -> None:
    images, indices = sample_images(12, height, width), np.arange(100, 112)
    augment = preset()
    drawn = augment.draw(height, width, seed=3, epoch=2, indices=indices)
    assert 0 < drawn.flip.sum() < 12
    assert 0 < len(drawn.hit) < 12
    result = augment(images, seed=3, epoch=2, indices=indices)
    assert np.array_equal(result, one_by_one(images, drawn, side=side))


def test_the_shift_is_that_of_albumentations_affine() -> None:
    images = sample_images(30)
    augment = BatchAugment(shift_px=4)
    result = augment(images, seed=1, epoch=0, indices=np.arange(30))
    for image, (down, right), got in zip(images, draws(augment, 30).shift.T.tolist(), result, strict=True):
        move = {"x": (right, right), "y": (down, down)}
        affine = A.Affine(translate_px=move, interpolation=cv2.INTER_NEAREST, border_mode=cv2.BORDER_REFLECT_101, p=1)
        assert np.array_equal(got, affine(image=image)["image"])


def test_the_mirror_is_that_of_albumentations() -> None:
    images = sample_images(30)
    result = BatchAugment(flip=1.0)(images, seed=1, epoch=0, indices=np.arange(30))
    for image, got in zip(images, result, strict=True):
        assert np.array_equal(got, A.HorizontalFlip(p=1)(image=image)["image"])


def test_the_hole_is_that_of_albumentations() -> None:
    images = sample_images(30)
    augment = BatchAugment(cutout=1.0)
    result = augment(images, seed=1, epoch=0, indices=np.arange(30))
    cut = A.CoarseDropout(fill=FILL, p=1)
    for image, (top, left), got in zip(images, draws(augment, 30).hole.T.tolist(), result, strict=True):
        expected = cut.apply(image, holes=np.array([[left, top, left + 8, top + 8]]), seed=0)
        assert np.array_equal(got, expected)


def test_nothing_asked_for_changes_nothing() -> None:
    images = sample_images(5)
    assert np.array_equal(BatchAugment()(images, seed=1, epoch=0, indices=np.arange(5)), images)


def test_images_that_come_in_stay_as_they_are() -> None:
    images = sample_images(20)
    for given in (images, np.ascontiguousarray(images.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)):
        before = given.copy()
        preset()(given, seed=1, epoch=0, indices=np.arange(20))
        BatchAugment(cutout=1.0)(given, seed=1, epoch=0, indices=np.arange(20))
        assert np.array_equal(given, before)


def test_what_comes_out_is_a_batch_of_planes_without_another_copy() -> None:
    for augment in (preset(), BatchAugment(), BatchAugment(flip=0.5)):
        result = augment(sample_images(6, 20, 28), seed=1, epoch=0, indices=np.arange(6))
        assert result.shape == (6, 20, 28, 3)
        assert result.dtype == np.uint8
        assert result.transpose(0, 3, 1, 2).flags.c_contiguous


def test_a_part_of_the_side_is_rounded_and_never_nothing() -> None:
    images = np.zeros((1, 30, 5, 3), dtype=np.uint8)
    result = BatchAugment(cutout=1.0, cutout_part=0.05, fill=(255, 255, 255))(
        images, seed=1, epoch=0, indices=np.array([0])
    )
    assert (result[0, :, :, 0] == 255).sum() == 2  # round(1.5) high, 1 wide


def test_a_hole_may_be_the_whole_image() -> None:
    result = BatchAugment(cutout=1.0, cutout_part=1.0)(sample_images(3), seed=1, epoch=0, indices=np.arange(3))
    assert (result == FILL).all()


def test_an_empty_batch_stays_empty() -> None:
    none = np.array([], dtype=np.int64)
    assert preset()(sample_images(0), seed=1, epoch=0, indices=none).shape == (0, 32, 32, 3)


def test_an_image_of_one_pixel_can_be_mirrored_and_cut() -> None:
    image = sample_images(1, 1, 1)
    result = BatchAugment(flip=1.0, cutout=1.0)(image, seed=1, epoch=0, indices=np.array([0]))
    assert result.tolist() == [[[list(FILL)]]]


# The key decides


def test_a_batch_of_one_is_a_batch_of_many() -> None:
    images, indices = sample_images(), np.random.default_rng(1).permutation(10_000)[:40]
    augment = preset()
    together = augment(images, seed=1, epoch=5, indices=indices)
    for place in range(40):
        alone = augment(images[place : place + 1], seed=1, epoch=5, indices=indices[place : place + 1])
        assert np.array_equal(alone[0], together[place])
    backward = augment(images[::-1], seed=1, epoch=5, indices=indices[::-1])
    assert np.array_equal(backward[::-1], together)


def test_leaving_one_transform_out_keeps_what_the_others_draw() -> None:
    whole, bare = draws(preset(), 500), draws(BatchAugment(flip=0.5), 500)
    assert np.array_equal(whole.flip, bare.flip)
    assert np.array_equal(draws(BatchAugment(shift_px=4), 500).shift, whole.shift)
    assert np.array_equal(draws(BatchAugment(cutout=0.5), 500).hole, whole.hole)


@pytest.mark.parametrize("other", [{"seed": 2}, {"seed": 1 + (1 << 32)}, {"epoch": 1}])
def test_other_seeds_and_epochs_draw_independently(other: dict[str, int]) -> None:
    augment = preset()
    assert independent_p(places(augment), places(augment, **other)) > LEAST_P
    assert independent_p(draws(augment).flip, draws(augment, **other).flip) > LEAST_P
    assert independent_p(hits(augment), hits(augment, **other)) > LEAST_P


@pytest.mark.parametrize("step", [1, 2, 64])
def test_neighbouring_images_draw_independently(step: int) -> None:
    augment = preset()
    for drawn in (places(augment), draws(augment).flip, hits(augment)):
        assert independent_p(drawn[:-step], drawn[step:]) > LEAST_P


def test_epoch_and_index_are_not_exchangeable() -> None:
    augment = preset()
    first = augment.draw(32, 32, seed=1, epoch=2, indices=np.arange(3, 300)).shift
    second = augment.draw(32, 32, seed=1, epoch=3, indices=np.arange(2, 299)).shift
    assert not np.array_equal(first, second)


def test_equal_draws_of_two_epochs_are_as_rare_as_chance_has_them() -> None:
    """Shift, mirror, hole or none, its place: 81 * 2 * (1 + 625) equally informative outcomes in all."""
    augment = preset()

    def outcome(epoch: int) -> NDArray[np.int64]:
        drawn = draws(augment, epoch=epoch)
        hole = np.zeros(50_000, dtype=np.int64)
        hole[drawn.hit] = 1 + drawn.hole[0] * 25 + drawn.hole[1]
        return (places(augment, epoch=epoch) * 2 + drawn.flip) * 626 + hole

    equal = (outcome(0) == outcome(1)).mean()
    expected = 1 / 81 * 1 / 2 * (0.5**2 + 0.5**2 / 625)
    assert abs(equal - expected) < 4 * np.sqrt(expected / 50_000)


# How the draws are distributed


def test_shifts_are_uniform_over_all_places() -> None:
    for seed in range(3):
        assert uniform_p(places(preset(), seed=seed), 81) > LEAST_P
    assert set(np.unique(draws(preset()).shift)) == set(range(-4, 5))


@pytest.mark.parametrize("probability", [0.0, 0.1, 0.5, 1.0])
def test_mirror_and_hole_come_as_often_as_asked(probability: float) -> None:
    augment = BatchAugment(flip=probability, cutout=probability)
    for happened in (draws(augment).flip, hits(augment)):
        if probability in (0.0, 1.0):
            assert happened.mean() == probability
        else:
            assert stats.binomtest(int(happened.sum()), len(happened), probability).pvalue > LEAST_P


@pytest.mark.parametrize("probability", [0.5, 1.0])
@pytest.mark.parametrize(("size", "kinds"), [(32, 25), (28, 22), (5, 5)])
def test_holes_are_uniform_over_all_places_inside(size: int, kinds: int, probability: float) -> None:
    top, left = draws(BatchAugment(cutout=probability), size=size).hole
    assert uniform_p(top * kinds + left, kinds * kinds) > LEAST_P
    assert top.max() == left.max() == kinds - 1


def test_shift_mirror_and_hole_of_an_image_are_independent() -> None:
    augment = BatchAugment(shift_px=4, flip=0.5, cutout=0.5)
    drawn, place, hit = draws(augment), places(augment), hits(augment)
    assert independent_p(place, drawn.flip) > LEAST_P
    assert independent_p(place, hit) > LEAST_P
    assert independent_p(drawn.flip, hit) > LEAST_P
    hole = drawn.hole[0] * 25 + drawn.hole[1]
    assert independent_p(hole, drawn.flip[drawn.hit]) > LEAST_P
    assert independent_p(hole % 25, place[drawn.hit]) > LEAST_P
    assert independent_p(drawn.hole[0], drawn.hole[1]) > LEAST_P


def test_albumentations_puts_its_holes_in_the_same_places() -> None:
    """Compares samples of both, so that the recipe is known to be the one that people have."""
    cut = A.CoarseDropout(
        num_holes_range=(1, 1), hole_height_range=(0.25, 0.25), hole_width_range=(0.25, 0.25), fill=255, p=1
    )
    cut.set_random_seed(1)
    black = np.zeros((32, 32, 3), dtype=np.uint8)
    theirs = [np.argwhere(cut(image=black)["image"][..., 0])[[0, -1]].ravel() for _ in range(3000)]
    top, left, bottom, right = np.array(theirs).T
    assert set(bottom - top) == set(right - left) == {7}
    assert {*top} == {*left} == set(range(25))
    ours = draws(BatchAugment(cutout=1.0), 3000).hole
    assert stats.ks_2samp(top, ours[0]).pvalue > LEAST_P
    assert stats.ks_2samp(left, ours[1]).pvalue > LEAST_P


@pytest.mark.parametrize(("probability", "drawn", "expected"), [(0.0, 0, False), (1.0, (1 << 32) - 1, True)])
def test_never_and_always_have_no_exception(probability: float, drawn: int, expected: bool) -> None:
    assert happens(np.array([drawn], dtype=np.uint32), probability).tolist() == [expected]


# The preset and wrong values


def test_the_preset_shifts_mirrors_and_cuts() -> None:
    assert preset() == BatchAugment(shift_px=4, flip=0.5, cutout=0.5, cutout_part=0.25, fill=FILL)
    assert preset().after == "batch"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"shift_px": -1}, r"augment.shift_px=-1, but .* whole number, 0 or more"),
        ({"shift_px": 1.5}, r"augment.shift_px=1.5"),
        ({"flip": 2}, r"augment.flip=2, but it must be at least 0 and at most 1"),
        ({"cutout": -0.1}, r"augment.cutout=-0.1"),
        ({"cutout_part": 0}, r"augment.cutout_part=0, but it must be above 0"),
        ({"fill": (1, 2)}, r"augment.fill=\[1, 2\], but it must be \[red, green, blue\]"),
        ({"fill": (1, 2, 256)}, r"augment.fill=256, but .* from 0 to 255"),
    ],
)
def test_a_value_out_of_range_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        BatchAugment(**wrong)


@pytest.mark.parametrize("shape", [(4, 32), (32, 3)])
def test_a_shift_as_large_as_the_image_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match=rf"augment.shift_px=4, but the images are {shape[0]}x{shape[1]} px"):
        BatchAugment(shift_px=4)(sample_images(1, *shape), seed=1, epoch=0, indices=np.array([0]))


# Gathering


class OneByOne:
    """A collection that has no `batch`."""

    def __init__(self, images: Sequence[UInt8Array]) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int, /) -> UInt8Array:
        return self.images[index]


class AtOnce(OneByOne):
    """A collection that gives a batch, and nothing else."""

    def __getitem__(self, index: int, /) -> UInt8Array:
        raise AssertionError("one by one")

    def batch(self, indices: NDArray[np.int64]) -> UInt8Array:
        return np.asarray(self.images)[indices]


@pytest.mark.parametrize("collection", [OneByOne, AtOnce, ArrayImages])
def test_images_are_gathered_in_the_order_asked_for(collection: Any) -> None:
    images, indices = sample_images(9), np.array([5, 1, 1, 8])
    assert np.array_equal(gather(collection(images), indices), images[indices])


def test_a_subset_of_a_subset_is_gathered_at_once() -> None:
    images = sample_images(9)
    samples = Samples(names=[str(i) for i in range(9)], images=AtOnce(images), labels=np.zeros(9, dtype=np.int64))
    part = samples.subset([8, 6, 4, 2]).subset([3, 1])
    assert np.array_equal(gather(part.images, np.array([1, 0])), images[[6, 2]])


def test_gray_images_are_gathered_with_three_channels() -> None:
    gray = sample_images(4)[..., 0]
    expected = np.repeat(gray[[2, 0], ..., None], 3, axis=3)
    assert np.array_equal(gather(ArrayImages(gray), np.array([2, 0])), expected)
