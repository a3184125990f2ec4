"""From sample keys to a batch."""

from typing import Any

import numpy as np
import pytest
import torch

from imgrec.data.augment.batch import BatchAugment
from imgrec.data.images.collections import ArrayImages
from imgrec.data.images.preprocess import Preprocess
from imgrec.data.loading.dataset import ImageDataset
from imgrec.data.samples import ImagesView, Samples
from imgrec.errors import DataError, ImageError


def samples(images: Any, labels: Any = None) -> Samples:
    count = len(images)
    labels = np.arange(count, dtype=np.int64) if labels is None else labels
    return Samples([f"p{i}" for i in range(count)], images, labels)


def keep(image: Any) -> Any:
    return image


def sample_images(count: int = 4) -> Any:
    return np.random.default_rng(0).integers(0, 256, (count, 5, 6, 3), dtype=np.uint8)


class Told:
    """An augmentation that notes its keys and the shape of what it gets."""

    def __init__(self, after: str) -> None:
        self.after = after
        self.calls: list[Any] = []

    def __call__(self, image: Any, *, key: tuple[int, int, int]) -> Any:
        self.calls.append((key, image.shape))
        return image[:5, :5]


def test_a_batch_is_the_images_in_the_order_of_the_keys():
    images = sample_images()
    batch = ImageDataset(samples(images), preprocess=keep)[[(2, 0), (0, 0)]]
    assert isinstance(batch, dict)
    assert batch["images"].dtype == torch.uint8
    assert batch["images"].is_contiguous()
    assert np.array_equal(batch["images"].numpy(), images[[2, 0]].transpose(0, 3, 1, 2))
    assert batch["labels"].tolist() == [2, 0]
    assert batch["labels"].dtype == batch["indices"].dtype == torch.int64
    assert batch["indices"].tolist() == [2, 0]


def test_several_labels_are_rows_of_zeros_and_ones():
    labels = np.array([[1, 0], [1, 1]], dtype=np.uint8)
    batch = ImageDataset(samples(sample_images(2), labels), preprocess=keep)[[(1, 0)]]
    assert isinstance(batch, dict)
    assert batch["labels"].tolist() == [[1, 1]]
    assert batch["labels"].dtype == torch.uint8


def test_every_image_goes_through_the_preprocessing():
    batch = ImageDataset(samples(sample_images()), preprocess=lambda image: image[:2, :3])[[(0, 0)]]
    assert isinstance(batch, dict)
    assert batch["images"].shape == (1, 3, 2, 3)


def test_an_augmentation_gets_the_seed_the_epoch_and_the_place_of_the_image():
    told = Told("preprocess")
    data = ImageDataset(samples(sample_images()), preprocess=lambda image: image[:, :5], augment=told, seed=7)
    _ = data[[(3, 2), (1, 2)]]
    assert told.calls == [((7, 2, 3), (5, 5, 3)), ((7, 2, 1), (5, 5, 3))]


def test_an_augmentation_after_decoding_takes_the_place_of_the_preprocessing():
    told = Told("decode")
    batch = ImageDataset(samples(sample_images()), preprocess=lambda image: image[:1], augment=told)[[(0, 0)]]
    assert isinstance(batch, dict)
    assert told.calls == [((0, 0, 0), (5, 6, 3))]
    assert batch["images"].shape == (1, 3, 5, 5)


def test_images_of_different_sizes_are_an_error_that_names_both():
    images = [np.zeros((4, 6, 3), np.uint8), np.zeros((5, 6, 3), np.uint8)]
    error = ImageDataset(samples(images), preprocess=keep)[[(0, 0), (1, 0)]]
    assert isinstance(error, DataError)
    assert str(error) == (
        "p1 is 6x5 px after preprocessing, p0 is 6x4. A batch needs one size: set preprocess=crop or squash."
    )


class Broken:
    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Any:
        if index:
            raise ImageError("p1", "truncated", "the file ends")
        return sample_images(1)[0]


def test_a_broken_image_is_returned_as_its_error():
    """A raised one would come out of a worker process as a wall of text."""
    data = ImageDataset(samples(Broken()), preprocess=keep)
    error = data[[(0, 0), (1, 0)]]
    assert isinstance(error, ImageError)
    assert (error.path, error.code) == ("p1", "truncated")
    assert isinstance(data[[(0, 0)]], dict)


def test_a_fault_is_raised():
    def fail(image: Any) -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        _ = ImageDataset(samples(sample_images()), preprocess=fail)[[(0, 0)]]


def test_its_length_is_the_number_of_images():
    assert len(ImageDataset(samples(sample_images(3)), preprocess=keep)) == 3


@pytest.mark.parametrize("channels", [(), (1,), (3,)])
@pytest.mark.parametrize("augment", [None, BatchAugment(shift_px=2, flip=0.5, cutout=0.5)])
def test_images_of_one_array_are_taken_at_once_and_are_the_same(channels, augment):
    array = np.random.default_rng(0).integers(0, 256, (9, 8, 8, *channels), dtype=np.uint8)
    view = ImagesView(ImagesView(ArrayImages(array), list(range(8, 0, -1))), [5, 0, 3, 2, 7])
    squash = Preprocess(size=8, mode="squash")
    at_once = ImageDataset(samples(view), preprocess=squash, augment=augment, seed=4)
    one_by_one = ImageDataset(samples(view), preprocess=lambda image: squash(image), augment=augment, seed=4)
    assert (at_once._at_once, one_by_one._at_once) == (True, False)
    keys = [(4, 2), (0, 2), (1, 2)]
    batch, expected = at_once[keys], one_by_one[keys]
    assert isinstance(batch, dict)
    assert isinstance(expected, dict)
    assert batch["images"].is_contiguous()
    for name in ("images", "labels", "indices"):
        assert torch.equal(batch[name], expected[name])
