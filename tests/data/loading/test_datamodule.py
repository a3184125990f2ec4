"""Splits in, keyed loaders out."""

import os
import signal
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from imgrec.data.images.collections import ArrayImages
from imgrec.data.loading.datamodule import ImageDataModule
from imgrec.data.loading.loader import _let_pass_once
from imgrec.data.samples import Samples, Splits
from imgrec.errors import ConfigError, DataError, ImageError
from small_run import Draws, Noise, noise


class Given(ImageDataModule):
    """A source whose splits are handed to it."""

    def __init__(self, splits: Splits, **loader: Any) -> None:
        super().__init__(preprocess=keep, **loader)
        self.found = splits

    def read(self, class_names: Sequence[str] | None) -> Splits:
        return self.found


class BrokenImages:
    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> Any:
        if index == 4:
            raise ImageError("p4.jpg", "truncated", "the file ends")
        return np.zeros((4, 4, 3), np.uint8)


def keep(image: Any) -> Any:
    return image


def splits(**changes: Any) -> Splits:
    return Splits(**({"class_names": ["a", "b", "c"], "train": noise("train", 9)} | changes))


def all_batches(data: ImageDataModule, loader: Any) -> list[dict[str, torch.Tensor]]:
    return [data.on_before_batch_transfer(batch, 0) for batch in loader]


# Loaders


def test_training_batches_hold_every_sample_once_shuffled():
    data = Noise(num_train=50, batch_size=8, num_workers=0)
    batches = all_batches(data, data.train_dataloader())
    indices = torch.cat([batch["indices"] for batch in batches]).tolist()
    assert sorted(indices) == list(range(50))
    assert indices != list(range(50))
    assert [len(batch["labels"]) for batch in batches] == [8, 7, 7, 7, 7, 7, 7]


def test_only_training_is_augmented():
    data = Noise(num_workers=0, augment=Draws())
    samples = data.split("val")
    (batch,) = all_batches(data, data.val_dataloader())
    assert np.array_equal(batch["images"][3].permute(1, 2, 0).numpy(), samples.images[3])
    first = all_batches(data, data.train_dataloader())[0]
    place = int(first["indices"][0])
    assert not np.array_equal(first["images"][0].permute(1, 2, 0).numpy(), data.split("train").images[place])


@pytest.mark.parametrize(("split", "count"), [("val", 20), ("test", 21)])
def test_an_evaluation_reads_its_split_in_order(split, count):
    data = Noise(batch_size=64, eval_batch_size=8, num_workers=0)
    batches = all_batches(data, data.on_split(split).test_dataloader())
    assert torch.cat([batch["indices"] for batch in batches]).tolist() == list(range(count))
    assert len(batches[0]["indices"]) == 8


def test_worker_processes_change_no_batch():
    pixels = []
    for num_workers in (0, 2):
        data = Given(Noise().splits, num_workers=num_workers, batch_size=8, augment=Draws(), seed=3)
        pixels.append(torch.cat([batch["images"] for batch in all_batches(data, data.train_dataloader())]))
    assert torch.equal(*pixels)


def test_a_new_loader_draws_nothing_from_the_global_generator():
    data = Noise(num_workers=0)
    before = torch.get_rng_state()
    all_batches(data, data.train_dataloader())
    assert torch.equal(torch.get_rng_state(), before)


def test_training_goes_on_in_the_middle_of_an_epoch():
    whole = Noise(batch_size=8, num_workers=0)
    loader = whole.train_dataloader()
    loader.sampler.set_epoch(2)
    expected = [batch["indices"].tolist() for batch in all_batches(whole, loader)]
    data = Noise(batch_size=8, num_workers=0)
    data.load_state_dict({"epoch": 2, "batch": 3})
    assert [batch["indices"].tolist() for batch in all_batches(data, data.train_dataloader())] == expected[3:]
    assert data.state_dict() == {"epoch": 2, "batch": 3}


# Errors in a worker


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_broken_image_is_one_clean_error_whoever_read_it(num_workers):
    images = BrokenImages()
    found = splits(train=None, test=Samples([f"p{i}.jpg" for i in range(6)], images, np.zeros(6, np.int64)))
    data = Given(found, num_workers=num_workers, batch_size=2)
    loader = data.test_dataloader()
    with pytest.raises(ImageError, match=r"^p4\.jpg: the file ends \[truncated\]$") as caught:
        all_batches(data, loader)
    loader.end_workers()
    assert caught.value.code == "truncated"


def test_a_worker_lets_the_first_signal_pass_and_no_second(monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    try:
        _let_pass_once(signal.SIGTERM, None)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


# How many workers


def test_images_in_memory_need_no_workers():
    samples = Samples(["a", "b"], ArrayImages(np.zeros((2, 4, 4), np.uint8)), np.array([0, 1]))
    assert Given(splits(train=samples)).train_dataloader().num_workers == 0
    assert Given(splits(train=samples.subset([1]))).train_dataloader().num_workers == 0


def test_files_get_a_worker_per_processor_at_most_eight(monkeypatch):
    for processors, expected in ((3, 3), (64, 8)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, n=processors: set(range(n)), raising=False)
        assert Given(splits()).train_dataloader().num_workers == expected


def test_a_number_of_workers_is_taken_as_given():
    assert Given(splits(), num_workers=0).train_dataloader().num_workers == 0


# What is checked


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "data.batch_size=0, but it must be a whole number, 1 or more"),
        ({"batch_size": 2.5}, "data.batch_size=2.5, but"),
        ({"eval_batch_size": 0}, "data.eval_batch_size=0, but"),
        ({"num_workers": -1}, "data.num_workers=-1, but it must be a whole number, 0 or more"),
    ],
)
def test_a_wrong_number_is_named(options, message):
    with pytest.raises(ConfigError, match=message):
        Noise(**options)


def test_a_number_of_classes_is_checked_against_what_is_found():
    assert len(Given(splits(), num_classes=3).splits.class_names) == 3
    message = r"3 classes in the data, but data\.num_classes=12\. Set data\.num_classes=3 .*: a, b, c\."
    with pytest.raises(DataError, match=message):
        _ = Given(splits(), num_classes=12).splits


def test_many_classes_are_not_all_listed():
    with pytest.raises(DataError, match=r"c10, c11 and 8 more\.$"):
        _ = Given(splits(class_names=[f"c{i}" for i in range(20)]), num_classes=2).splits


def test_a_split_that_is_not_there_is_named_with_those_that_are():
    data = Given(splits(val=noise("val", 3)))
    assert data.has_split("val")
    assert not data.has_split("test")
    with pytest.raises(DataError, match="no test split, only train and val"):
        data.split("test")


# The fingerprint


def fingerprint(**changes: Any) -> str:
    return Given(splits(**changes)).fingerprint()


def renamed(samples: Samples, names: list[str]) -> Samples:
    return Samples(names, samples.images, samples.labels)


def test_the_same_data_have_the_same_fingerprint():
    assert fingerprint() == fingerprint()


def test_another_name_label_order_class_or_split_is_another_fingerprint():
    train = noise("train", 9)
    labels = train.labels.copy()
    labels[4] = 0
    different = [
        fingerprint(),
        fingerprint(train=renamed(train, [*train.names[:8], "other"])),
        fingerprint(train=Samples(train.names, train.images, labels)),
        fingerprint(train=train.subset(range(8, -1, -1))),
        fingerprint(train=train.subset(range(8))),
        fingerprint(class_names=["a", "b", "d"]),
        fingerprint(train=None, val=train),
        fingerprint(val=noise("val", 2)),
    ]
    assert len(set(different)) == len(different)


def test_names_run_into_each_other_are_told_apart():
    train = noise("train", 2)
    assert fingerprint(train=renamed(train, ["ab", "c"])) != fingerprint(train=renamed(train, ["a", "bc"]))


def test_a_name_that_is_not_utf8_has_a_fingerprint():
    assert fingerprint(train=renamed(noise("train", 1), ["\udcff.jpg"])) != fingerprint(train=noise("train", 1))


# A part held out


def test_a_part_of_a_split_moves_to_another_with_classes_alike_and_groups_whole():
    labels = np.tile(np.arange(3), 40)
    groups = [f"patient {i // 6}" for i in range(120)]
    samples = Samples([str(i) for i in range(120)], ArrayImages(np.zeros((120, 4, 4, 3), np.uint8)), labels, groups)
    data = Given(splits(test=samples))
    data.hold_out("test", fraction=0.25, to="val", seed=1)
    kept, moved = data.split("test"), data.split("val")
    assert sorted([*kept.names, *moved.names], key=int) == list(samples.names)
    assert len(moved) == 30
    assert not set(kept.groups) & set(moved.groups)
    assert np.bincount(moved.labels).tolist() == [10, 10, 10]
    assert data.split("train") is data.found.train


def test_too_few_images_cannot_be_split():
    data = Given(splits(test=noise("test", 1)))
    with pytest.raises(DataError, match="1 images cannot be divided into 2 splits"):
        data.hold_out("test", fraction=0.5, to="val", seed=1)
