"""Perceptual hashes, against the ImageHash package and the cosine transform of SciPy."""

import numpy as np
import pytest
from PIL import Image
from scipy.fft import dctn

from imgrec.auditing.scan.hashes import CROPS, MIRRORED, WHOLE, perceptual_hashes, phash
from planted import photograph

IMAGES = np.stack([np.asarray(photograph(seed).convert("L").resize((32, 32))) for seed in range(50)])


def test_the_bits_are_those_of_the_imagehash_package():
    imagehash = pytest.importorskip("imagehash", reason="ImageHash, the reference, is not installed")
    for image, ours in zip(IMAGES, phash(IMAGES), strict=True):
        assert int(str(imagehash.phash(Image.fromarray(image))), 16) == int(ours)


def test_a_bit_says_whether_a_low_frequency_is_above_the_median():
    coefficients = dctn(IMAGES[0].astype(float))[:8, :8]
    bits = (coefficients > np.median(coefficients)).ravel()
    assert int("".join(str(int(bit)) for bit in bits), 2) == int(phash(IMAGES[:1])[0])


def test_the_mirrored_hash_is_the_hash_of_the_mirror_image():
    for image in IMAGES:
        ours, other = perceptual_hashes(image), perceptual_hashes(np.ascontiguousarray(image[:, ::-1]))
        assert ours[MIRRORED] == other[WHOLE]
        assert ours[WHOLE] == other[MIRRORED]


@pytest.mark.parametrize("view", CROPS)
def test_a_crop_hashes_as_the_image_cut_to_it(view):
    gray = np.asarray(photograph(1, width=400, height=400).convert("L"))
    left, top, right, bottom = (round(400 * share) for share in CROPS[view])
    cut = np.ascontiguousarray(gray[top:bottom, left:right])
    distance = np.bitwise_count(perceptual_hashes(gray)[view] ^ perceptual_hashes(cut)[WHOLE])
    assert distance <= 2


def test_size_and_brightness_hardly_change_the_hash_and_another_image_does():
    image = photograph(3, width=256, height=256).convert("L")
    hashes = [
        perceptual_hashes(np.asarray(one))[WHOLE]
        for one in (
            image,
            image.resize((97, 61)),
            image.point(lambda value: 0.7 * value),
            photograph(4).convert("L"),
        )
    ]
    near = [int(np.bitwise_count(hashes[0] ^ other)) for other in hashes[1:]]
    assert near[0] <= 4 and near[1] <= 4 and near[2] >= 16
