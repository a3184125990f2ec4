"""Asking a network about every cell: each image by its key, however the work is divided."""

import numpy as np
import pytest
import torch
from PIL import Image

from imgrec.data.images.collections import FileImages
from imgrec.data.images.preprocess import Preprocess
from imgrec.data.loading.dataset import ImageDataset
from imgrec.data.samples import Samples
from imgrec.errors import ImageError
from imgrec.studies.robustness.cells import _interleaved, predict_cells
from imgrec.studies.robustness.corruption import CORRUPTIONS, corrupt
from small_run import noise, small_net

CELLS = [(CORRUPTIONS[0], 5), (CORRUPTIONS[9], 2), (CORRUPTIONS[11], 0)]
torch.manual_seed(0)
NET = small_net().eval()
KEYS = [3 * place + 1 for place in range(21)]


def predicted(*, batch_size=4, num_workers=0, multilabel=False, dataset=None):
    dataset = dataset or ImageDataset(noise("test", 21), preprocess=lambda image: image)
    return predict_cells(
        NET,
        dataset,
        CELLS,
        keys=KEYS,
        seed=5,
        device=torch.device("cpu"),
        batch_size=batch_size,
        num_workers=num_workers,
        timeout_s=60,
        multilabel=multilabel,
    )


def by_hand():
    samples = noise("test", 21)
    found = []
    for corruption, severity in CELLS:
        images = [corrupt(samples.images[i], corruption, severity, seed=5, index=KEYS[i]) for i in range(21)]
        with torch.no_grad():
            found.append(NET(torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)))
    return torch.stack(found)


def test_predictions_are_those_of_each_image_by_itself():
    assert np.array_equal(predicted(), by_hand().argmax(dim=2))


def test_several_labels_are_what_is_more_likely_than_not():
    assert np.array_equal(predicted(multilabel=True), (by_hand() > 0).numpy())


@pytest.mark.parametrize(("batch_size", "num_workers"), [(1, 0), (50, 0), (4, 2)])
def test_batches_and_workers_change_nothing(batch_size, num_workers):
    assert np.array_equal(predicted(batch_size=batch_size, num_workers=num_workers), predicted())


def test_each_worker_gets_a_batch_in_all_its_cells_before_the_next():
    keys = list(_interleaved(10, num_cells=3, batch_size=2, workers=2))
    assert len(keys) == len(set(keys)) == 15
    first = [key for place, key in enumerate(keys[:12]) if place % 2 == 0]
    assert first == [((0, 1), 0), ((0, 1), 1), ((0, 1), 2), ((4, 5), 0), ((4, 5), 1), ((4, 5), 2)]


def test_each_image_is_decoded_once():
    class Counting(ImageDataset):
        decoded = 0

        def __getitem__(self, keys):
            Counting.decoded += len(keys)
            return super().__getitem__(keys)

    predicted(dataset=Counting(noise("test", 21), preprocess=lambda image: image))
    assert Counting.decoded == 21


def test_an_image_that_cannot_be_read_is_named(tmp_path):
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"nothing")
    images = FileImages([tmp_path / "a.png", tmp_path / "b.png"])
    dataset = ImageDataset(Samples(["a", "b"], images, np.zeros(2, dtype=np.int64)), preprocess=Preprocess(size=8))
    with pytest.raises(ImageError, match=r"b\.png"):
        predicted(dataset=dataset)
