"""Deletion, insertion, similarity and occlusion by naive loops; and what they come to in words. No torch needed."""

import subprocess
import sys

import numpy as np
import pytest

from imgrec.studies.explain.baseline import make_baseline
from imgrec.studies.explain.cells import make_cells
from imgrec.studies.explain.faithfulness import Faithfulness, compare, map_order, measure_orders, random_orders
from imgrec.studies.explain.occlusion import occlusion_map, window_starts
from imgrec.studies.explain.overlay import draw_overlay, scaled
from imgrec.studies.explain.similarity import rank_correlation
from imgrec.studies.explain.verdict import judge, judge_all
from project import PROJECT


def sample_image(height: int = 20, width: int = 30, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def predict(images: np.ndarray) -> np.ndarray:
    """Class 1 is the brightness of a corner, a nonlinear function of it."""
    corner = images[:, :8, :10].mean(axis=(1, 2, 3)) / 255
    return np.stack([1 - corner**2, corner**2], axis=1)


def test_the_checks_need_no_torch():
    names = "arrays, baseline, cells, faithfulness, occlusion, overlay, similarity, verdict"
    program = f"import sys\nfrom imgrec.studies.explain import {names}\nprint('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=PROJECT)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(("height", "width", "shape"), [(28, 42, (14, 14)), (5, 30, (5, 14)), (1, 1, (1, 1))])
def test_cells_are_rectangles_of_nearly_one_size_that_cover_all(height, width, shape):
    cells = make_cells(height, width)
    assert cells.shape == shape
    sizes = np.bincount(cells.numbers.ravel(), minlength=cells.number)
    assert sizes.sum() == height * width
    sides = (-(-height // shape[0]), -(-width // shape[1]))
    assert sizes.max() <= sides[0] * sides[1] and sizes.min() >= 1
    values = np.random.default_rng(0).random((height, width))
    naive = [values[cells.numbers == number].mean() for number in range(cells.number)]
    np.testing.assert_allclose(cells.means(values), naive)


def test_deletion_and_insertion_are_those_of_a_naive_loop():
    image, baseline = sample_image(), make_baseline(sample_image(), "black")
    cells = make_cells(20, 30)
    order = np.random.default_rng(2).permutation(cells.number)
    (curves,) = measure_orders(image, [order], baseline=baseline, predict=predict, target=1, num_steps=4, batch_size=3)
    deletion, insertion, fraction = [], [], []
    for step in range(5):
        mask = np.isin(cells.numbers, order[: round(cells.number * step / 4)])
        deleted, inserted = image.copy(), baseline.copy()
        deleted[mask], inserted[mask] = baseline[mask], image[mask]
        deletion.append(predict(deleted[None])[0, 1])
        insertion.append(predict(inserted[None])[0, 1])
        fraction.append(mask.mean())
    np.testing.assert_allclose(curves.fraction, fraction)
    np.testing.assert_allclose(curves.deletion, deletion)
    np.testing.assert_allclose(curves.insertion, insertion)
    area = sum((x1 - x0) * (y0 + y1) / 2 for x0, x1, y0, y1 in zip(fraction, fraction[1:], deletion, deletion[1:]))  # noqa: B905
    assert curves.deletion_area == pytest.approx(area)


def test_the_order_of_the_true_map_is_better_than_random_orders_and_the_reverse_is_worse():
    image, baseline = np.full((20, 30, 3), 250, np.uint8), np.zeros((20, 30, 3), np.uint8)
    cells = make_cells(20, 30)
    values = np.zeros((20, 30))
    values[:8, :10] = 1
    orders = [map_order(values, cells), map_order(-values, cells), *random_orders(cells, count=9, seed=1)]
    right, wrong, *random = measure_orders(image, orders, baseline=baseline, predict=predict, target=1)
    good, bad = compare(right, random), compare(wrong, random)
    assert good.beats_deletion and good.beats_insertion
    assert good.deletion_gain > 0.2 and good.insertion_gain > 0.2
    assert not bad.beats_deletion and not bad.beats_insertion
    assert bad.deletion_gain < 0
    assert good.random_deletion_area == pytest.approx(np.mean([one.deletion_area for one in random]))


def test_equal_cells_come_in_an_order_by_chance_and_the_same_each_time():
    cells = make_cells(28, 28)
    flat = map_order(np.zeros((28, 28)), cells, seed=1)
    assert not np.array_equal(flat, np.arange(196))
    assert np.array_equal(flat, map_order(np.zeros((28, 28)), cells, seed=1))
    assert sorted(flat) == list(range(196))


@pytest.mark.parametrize(("window", "stride"), [(4, 2), (5, 5), (7, 3), (40, 1)])
def test_occlusion_is_that_of_a_naive_loop(window, stride):
    image, baseline = sample_image(13, 17), make_baseline(sample_image(13, 17), "mean")
    heat = occlusion_map(
        image, baseline=baseline, predict=predict, target=1, window_px=window, stride_px=stride, batch_size=4
    )
    falls, counts = np.zeros((13, 17)), np.zeros((13, 17))
    for top in window_starts(13, window, stride):
        for left in window_starts(17, window, stride):
            covered = image.copy()
            covered[top : top + window, left : left + window] = baseline[top : top + window, left : left + window]
            falls[top : top + window, left : left + window] += predict(image[None])[0, 1] - predict(covered[None])[0, 1]
            counts[top : top + window, left : left + window] += 1
    assert counts.min() >= 1
    np.testing.assert_allclose(heat, falls / counts, atol=1e-12)


def test_rank_correlation_is_scipy_s_of_the_absolute_values():
    from scipy.stats import spearmanr

    random = np.random.default_rng(3)
    one, other = random.normal(size=(9, 11)).round(1), random.normal(size=(9, 11)).round(1)
    expected = spearmanr(np.abs(one).ravel(), np.abs(other).ravel()).statistic
    assert rank_correlation(one, other) == pytest.approx(expected)
    assert rank_correlation(one, -one) == pytest.approx(1)
    assert rank_correlation(one, np.ones((9, 11))) is None


def test_a_baseline_has_the_size_of_the_image_and_shows_nothing_of_it():
    image = sample_image(32, 48)
    for kind in ("blurred", "mean", "black"):
        made = make_baseline(image, kind)
        assert made.shape == image.shape and made.dtype == np.uint8
        assert made.std() < 0.2 * image.std()
    assert make_baseline(image, "mean")[0, 0].tolist() == image.mean(axis=(0, 1)).round().astype(int).tolist()


def test_an_overlay_is_the_grey_image_where_nothing_speaks_for_the_class():
    image, values = sample_image(64, 64), np.full((64, 64), -1.0)
    overlay = draw_overlay(image, values)
    assert overlay.shape == image.shape and overlay.dtype == np.uint8
    assert (np.ptp(overlay, axis=2) == 0).all()
    values[:20, :20] = 5
    coloured = np.ptp(draw_overlay(image, values), axis=2) > 40
    assert coloured[4:14, 4:14].all() and not coloured[32:, 32:].any()
    assert scaled(values).max() == 1 and scaled(np.zeros((8, 8))).max() == 0


def checks(deletion: bool = True, insertion: bool = True) -> Faithfulness:
    return Faithfulness(0.3, 0.8, 0.5, 0.5, deletion, insertion)


@pytest.mark.parametrize(
    ("found", "correlation", "grade", "reason"),
    [
        (checks(), 0.1, "trustworthy", "better than 9 random orders in deletion and in insertion, and the map changes"),
        (checks(), -0.9, "trustworthy", "rank correlation -0.90"),
        (checks(deletion=False), 0.1, "weak", "no better than 9 random orders in deletion"),
        (checks(insertion=False), 0.1, "weak", "no better than 9 random orders in insertion"),
        (checks(), 0.6, "weak", r"changes little when the weights are randomised \(rank correlation 0.60\)"),
        (checks(), 0.93, "bad", r"hardly changes when the weights are randomised \(rank correlation 0.93\)"),
        (checks(False, False), 0.1, "bad", "no better than 9 random orders in deletion and in insertion"),
        (None, 0.0, "bad", "the map is constant"),
    ],
)
def test_a_bad_map_is_called_bad_and_why(found, correlation, grade, reason):
    verdict = judge(found, correlation=correlation, num_random=9, whole=0.9, nothing=0.2)
    assert verdict.grade == grade
    import re

    assert re.search(reason, verdict.reason)


@pytest.mark.parametrize(
    ("whole", "nothing", "grade"), [(0.54, 0.79, "weak"), (0.9, 0.82, "weak"), (0.9, 0.8, "trustworthy")]
)
def test_of_an_image_that_makes_no_difference_there_is_no_trustworthy_map(whole, nothing, grade):
    verdict = judge(checks(), correlation=0.1, num_random=9, whole=whole, nothing=nothing)
    assert verdict.grade == grade
    assert (f"{nothing:.2f} for the baseline and {whole:.2f} for the image" in verdict.reason) == (grade == "weak")


@pytest.mark.parametrize(
    ("grades", "grade", "reason"),
    [
        (["trustworthy"] * 9 + ["bad"] * 3, "trustworthy", "9 of 12 maps pass every check, 3 are bad"),
        (["trustworthy"] * 8 + ["weak"] * 4, "weak", "8 of 12"),
        (["bad"] * 7 + ["weak"] * 5, "bad", "7 are bad"),
        (["trustworthy", "bad"], "weak", r"1 is bad; with only 2 maps this is a rough estimate"),
    ],
)
def test_a_method_is_judged_over_all_images(grades, grade, reason):
    import re

    verdict = judge_all(grades)
    assert verdict.grade == grade
    assert re.search(reason, verdict.reason)
