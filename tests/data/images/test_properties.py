"""What is measured of images as the network sees them."""

import cv2
import numpy as np
import pytest
from PIL import Image

from imgrec.data.images.collections import ArrayImages, FileImages
from imgrec.data.images.preprocess import Preprocess
from imgrec.data.images.properties import PROPERTIES, measure_images, named_properties, sharpness
from imgrec.data.loading.dataset import ImageDataset
from imgrec.data.samples import Samples
from small_run import Noise

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (5, 9, 12, 3), dtype=np.uint8)


def test_each_property_is_that_of_the_image_by_itself():
    found = measure_images(IMAGES, [(90, 120)] * 5)
    for row, image in zip(found, IMAGES, strict=True):
        gray = np.asarray(Image.fromarray(image).convert("L")).astype(float)
        laplacian = cv2.Laplacian(gray, cv2.CV_64F, ksize=1)[1:-1, 1:-1]
        np.testing.assert_allclose(row, [90, 120, gray.mean(), gray.std(), laplacian.var()], rtol=1e-4)


def test_a_list_of_images_is_measured_as_an_array_is():
    sizes = [(9, 12)] * 5
    assert np.array_equal(measure_images(list(IMAGES), sizes), measure_images(IMAGES, sizes))


def test_a_thin_image_has_no_sharpness():
    assert sharpness(np.zeros((4, 2, 9), dtype=np.uint8)).tolist() == [0, 0, 0, 0]


def test_properties_have_names_and_the_aspect_beside_the_size():
    columns = named_properties(measure_images(IMAGES, [(50, 100)] * 5))
    assert list(columns) == ["height", "width", "aspect", *PROPERTIES[2:]]
    assert columns["aspect"].tolist() == [2.0] * 5


def samples(images) -> Samples:
    return Samples([str(i) for i in range(len(images))], images, np.zeros(len(images), dtype=np.int64))


@pytest.mark.parametrize("decode", ["full", "reduced"])
def test_a_file_is_measured_after_preprocessing_and_has_its_own_size(tmp_path, decode):
    paths = []
    for place, size in enumerate([(40, 30), (64, 20)]):
        paths.append(tmp_path / f"{place}.jpg")
        Image.fromarray(RNG.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).save(paths[-1])
    data = ImageDataset(
        samples(FileImages(paths)), preprocess=Preprocess(size=16, mode="squash", decode=decode), measure=True
    )
    batch = data[[(0, 0), (1, 0)]]
    seen = batch["images"].permute(0, 2, 3, 1).numpy()
    assert batch["properties"][:, :2].tolist() == [[30, 40], [20, 64]]
    assert np.array_equal(batch["properties"], measure_images(seen, [(30, 40), (20, 64)]))


def test_images_in_memory_are_measured_at_once_as_one_by_one():
    images = ArrayImages(IMAGES)
    at_once = ImageDataset(samples(images), preprocess=Preprocess(size=None, mode="none"), measure=True)
    one_by_one = ImageDataset(samples(images), preprocess=lambda image: image, measure=True)
    keys = [(3, 0), (1, 0)]
    assert np.array_equal(at_once[keys]["properties"], one_by_one[keys]["properties"])
    assert at_once[keys]["properties"][:, :2].tolist() == [[9, 12]] * 2


def test_measuring_changes_no_pixel_and_is_off_in_training():
    data = Noise(num_workers=0)
    measured = next(iter(data.eval_dataloader("val", measure=True)))
    plain = next(iter(data.eval_dataloader("val")))
    assert np.array_equal(measured["images"], plain["images"])
    assert "properties" not in plain
    assert "properties" not in next(iter(data.train_dataloader()))
