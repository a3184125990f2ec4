"""What holds for every way to read images: the same batches however they are read, and draws that never repeat."""

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import albumentations
import numpy as np
import pytest
from PIL import Image

from imgrec.data.augment.albumentations_pipeline import Augment
from imgrec.data.augment.batch import BatchAugment
from imgrec.data.images.preprocess import Preprocess
from imgrec.data.loading.datamodule import ImageDataModule
from imgrec.data.prepared.build import Source, prepare
from imgrec.data.prepared.shrink import Shrink
from imgrec.data.samples import Samples, Splits
from imgrec.data.shards.tar_writer import write_tar_shards
from imgrec.data.sources import ArraysData, FolderData, PreparedData, ShardsData

COUNT = 64  # training images


def random_crop() -> Augment:
    crop = albumentations.RandomResizedCrop(size=(32, 32), scale=(0.1, 1.0))
    return Augment([crop, albumentations.HorizontalFlip()], after="decode", size=32)


def by_batch() -> BatchAugment:
    return BatchAugment(shift_px=12, flip=0.5, cutout=1.0)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """JPEGs of noise, 160x120 px, in class folders of train and val."""
    root = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for split, name, count in (("train", "ant", 32), ("train", "bee", 32), ("val", "ant", 4), ("val", "bee", 4)):
        (root / split / name).mkdir(parents=True)
        for index in range(count):
            coarse = random.integers(0, 256, (12, 16, 3), dtype=np.uint8)
            Image.fromarray(coarse).resize((160, 120)).save(root / split / name / f"{index}.jpg", quality=90)
    return root


@pytest.fixture(scope="module")
def arrays(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same images at 48x48 px in an npz file."""
    parts: dict[str, Any] = {}
    for split in ("train", "val"):
        paths = sorted((photos / split).rglob("*.jpg"))
        parts[f"{split}_images"] = np.stack([np.asarray(Image.open(path).resize((48, 48))) for path in paths])
        parts[f"{split}_labels"] = np.array([path.parent.name == "bee" for path in paths], dtype=np.int64)
    file = tmp_path_factory.mktemp("arrays") / "images.npz"
    np.savez(file, **parts)
    return file


@pytest.fixture(scope="module")
def packed(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same images prepared, and as shards."""
    folder = tmp_path_factory.mktemp("packed")
    splits = FolderData(root=str(photos), preprocess=lambda image: image).splits
    parts = {name: getattr(splits, name) for name in ("train", "val")}
    prepare(Source(str(photos), parts, splits.class_names), folder / "prepared", shrink=Shrink(64), workers=1)
    write_tar_shards(parts, class_names=splits.class_names, output=folder / "shards", shard_mb=1)
    return folder


Reader = Callable[..., ImageDataModule]


@pytest.fixture(params=["files", "files decoded whole", "files by batch", "arrays by batch", "prepared", "shards"])
def reader(request: pytest.FixtureRequest, photos: Path, arrays: Path, packed: Path) -> Reader:
    """A way to read, called with loader options."""
    squash = Preprocess(size=48, mode="squash")

    def make(**options: Any) -> ImageDataModule:
        if request.param == "arrays by batch":
            return ArraysData(path=str(arrays), preprocess=squash, augment=by_batch(), batch_size=16, **options)
        if request.param in ("prepared", "shards"):
            source = PreparedData if request.param == "prepared" else ShardsData
            root = str(packed / request.param)
            return source(root=root, preprocess=squash, augment=random_crop(), batch_size=16, **options)
        augment: Any = by_batch() if request.param == "files by batch" else random_crop()
        if request.param == "files decoded whole":
            augment.decode = "full"
        return FolderData(root=str(photos), preprocess=squash, augment=augment, batch_size=16, **options)

    return make


def epoch_of(data: ImageDataModule, epoch: int, *, first_batch: int = 0) -> list[Any]:
    loader: Any = data.train_dataloader()
    loader.sampler.start_at(epoch, first_batch)
    batches = list(loader)
    loader.end_workers()
    return batches


def same(one: Any, other: Any) -> bool:
    return all(np.array_equal(one[key], other[key]) for key in ("images", "labels", "indices"))


def test_loader_processes_change_no_batch(reader):
    for with_workers, without in zip(
        epoch_of(reader(num_workers=2), 1), epoch_of(reader(num_workers=0), 1), strict=True
    ):
        assert same(with_workers, without)


def test_threads_change_no_batch(reader):
    threads, none = reader(num_workers=3, workers="threads"), reader(num_workers=0)
    for epoch in (1, 2):
        for with_threads, without in zip(epoch_of(threads, epoch), epoch_of(none, epoch), strict=True):
            assert same(with_threads, without)


def test_an_epoch_entered_in_the_middle_goes_on_bit_for_bit(reader):
    whole = epoch_of(reader(num_workers=0), 2)
    for first in range(1, 4):
        rest = epoch_of(reader(num_workers=1 if first == 2 else 0), 2, first_batch=first)
        assert [same(one, other) for one, other in zip(rest, whole[first:], strict=True)] == [True] * (4 - first)


class OneImage:
    """The same image again and again, so that two equal results are two equal draws."""

    def __init__(self, image: Any) -> None:
        self.image = image

    def __len__(self) -> int:
        return 256

    def __getitem__(self, index: int) -> Any:
        return self.image


class Same(ImageDataModule):
    def read(self, class_names: Any) -> Splits:
        image = np.random.default_rng(3).integers(0, 256, (160, 160, 3), dtype=np.uint8)
        labels = np.zeros(256, dtype=np.int64)
        return Splits(["a", "b"], train=Samples([f"p{i}" for i in range(256)], OneImage(image), labels))


def draws(augment: Any) -> Iterator[bytes]:
    """Yield what 4 workers made of one image in 2 epochs of 2 ranks, each image of the epoch once."""
    for rank, epoch in product(range(2), range(2)):
        data = Same(preprocess=lambda image: image, augment=augment, batch_size=16, num_workers=4)
        data.trainer = SimpleNamespace(global_rank=rank, world_size=2)
        for batch in epoch_of(data, epoch):
            yield from (image.tobytes() for image in batch["images"].numpy())


# As many processes as the claim names, whatever the machine has.
@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker processes")
@pytest.mark.parametrize("augment", [random_crop(), BatchAugment(shift_px=40, flip=0.5, cutout=1.0)])
def test_workers_epochs_and_ranks_share_no_draws(augment):
    seen = list(draws(augment))
    assert len(seen) == 2 * 256
    assert len(seen) - len(set(seen)) <= 0.001 * len(seen)
