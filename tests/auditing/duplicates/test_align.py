"""Thumbnails laid over one another."""

import numpy as np
import pytest

from imgrec.auditing.duplicates.align import align, compare, warps_of
from imgrec.auditing.scan.hashes import views
from planted import photograph

GRAY = [np.asarray(photograph(seed, width=256, height=256).convert("L")) for seed in range(12)]
WHOLE = (0.0, 0.0, 1.0, 1.0)
STILL = np.array([[1, 0, 1, 0]], np.float32)


def thumbnails(box=WHOLE):
    return np.concatenate([views(gray, [box]) for gray in GRAY])


@pytest.mark.parametrize("box", [(0.05, 0.05, 0.95, 0.95), (0.0, 0.03, 0.95, 0.98), (0.06, 0.0, 1.0, 1.0)])
def test_alignment_finds_which_part_was_cut_out(box):
    found = align(thumbnails(), thumbnails(box), np.repeat(STILL, len(GRAY), axis=0))
    expected = warps_of(np.array([box]))
    assert np.abs(found - expected)[:, [0, 2]].max() < 0.02
    assert np.abs(found - expected)[:, [1, 3]].max() < 0.3


def test_a_crop_is_alike_when_aligned_and_not_before():
    crop = thumbnails((0.05, 0.0, 1.0, 0.95))
    start = np.repeat(STILL, len(GRAY), axis=0)
    before, after = compare(thumbnails(), crop, start), compare(thumbnails(), crop, align(thumbnails(), crop, start))
    assert after.detail.min() > 0.8 > 0.6 > before.detail.max()


def test_other_images_are_not_alike_even_when_aligned():
    other = np.roll(thumbnails(), 1, axis=0)
    alike = compare(thumbnails(), other, align(thumbnails(), other, np.repeat(STILL, len(GRAY), axis=0)))
    assert alike.detail.max() < 0.5


def test_alikeness_is_a_correlation_so_brightness_and_contrast_do_not_matter():
    images, start = thumbnails(), np.repeat(STILL, len(GRAY), axis=0)
    darker = (images * 0.5 + 20).astype(np.uint8)
    alike = compare(images, darker, start)
    expected = [np.corrcoef(one.ravel(), other.ravel())[0, 1] for one, other in zip(images, darker, strict=True)]
    assert np.allclose(alike.whole, expected, atol=1e-4)
    assert alike.detail.min() > 0.95


@pytest.mark.parametrize("value", [0, 255])
def test_blank_and_striped_thumbnails_do_no_harm(value):
    blank = np.full((1, 32, 32), value, np.uint8)
    stripes = np.tile(np.arange(32, dtype=np.uint8) % 2 * 255, (1, 32, 1))
    for one, other in ((blank, blank), (stripes, stripes), (blank, stripes)):
        alike = compare(one, other, align(one, other, STILL))
        assert np.isfinite([alike.whole, alike.detail]).all()
