"""The loaders that imgrec is compared with in input_speed.py, each as its documentation recommends."""

from pathlib import Path
from typing import Any

import torch
from input_recipe import MEAN, RATIO, RESIZE, SCALE, SIZE, STD, WORKERS, Case, Pass, first, listed
from torch import Tensor

# torchvision, and what uses its transforms


def _torchvision_recipe(case: Case) -> Any:
    from torchvision import transforms as T  # noqa: N812 - its own documentation's name

    last = [T.ToTensor(), T.Normalize(MEAN, STD)]
    if case.is_train:
        return T.Compose([T.RandomResizedCrop(SIZE, SCALE, RATIO), T.RandomHorizontalFlip(), *last])
    return T.Compose([T.Resize(RESIZE), T.CenterCrop(SIZE), *last])


def _tensor_recipe(case: Case) -> Any:
    from torchvision.transforms import v2

    last = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    if case.is_train:
        return v2.Compose([v2.RandomResizedCrop(SIZE, SCALE, RATIO), v2.RandomHorizontalFlip(), *last])
    return v2.Compose([v2.Resize(RESIZE), v2.CenterCrop(SIZE), *last])


def _data_loader(dataset: Any, case: Case, **options: Any) -> Pass:
    from torch.utils.data import DataLoader

    return first(DataLoader(dataset, shuffle=case.is_train, **case.loader, **options))


def torchvision_pil(case: Case) -> Pass:
    from torchvision.datasets import ImageFolder

    return _data_loader(ImageFolder(str(case.images), _torchvision_recipe(case)), case)


def _decode_jpeg(path: str) -> Tensor:
    from torchvision.io import ImageReadMode, decode_jpeg, read_file

    return decode_jpeg(read_file(path), mode=ImageReadMode.RGB)


def torchvision_v2(case: Case) -> Pass:
    from torchvision.datasets import ImageFolder

    return _data_loader(ImageFolder(str(case.images), _tensor_recipe(case), loader=_decode_jpeg), case)


def webdataset(case: Case) -> Pass:
    import webdataset

    shards = _tar_shards(case)
    shuffle = 100 if case.is_train else 0
    dataset = webdataset.WebDataset(shards, shardshuffle=shuffle and len(shards), empty_check=False).shuffle(shuffle)
    dataset = dataset.decode("pil").to_tuple("jpg", "cls").map_tuple(_torchvision_recipe(case), int)
    options = {key: value for key, value in case.loader.items() if key != "batch_size"}
    return first(webdataset.WebLoader(dataset.batched(case.batch_size), batch_size=None, **options))


def _tar_shards(case: Case, count: int = 4) -> list[str]:
    import webdataset

    folder = case.work / "tar"
    shards = [str(folder / f"{number}.tar") for number in range(count)]
    if not folder.exists():
        folder.mkdir()
        for number, shard in enumerate(shards):
            with webdataset.TarWriter(shard) as writer:
                for path, label in listed(case.images)[number::count]:
                    name = f"{path.parent.name}_{path.stem}".replace(".", "_")
                    writer.write({"__key__": name, "jpg": path.read_bytes(), "cls": str(label).encode()})
    return shards


def litdata(case: Case) -> Pass:
    """Decode with litdata's serializer (torchvision's decode_jpeg), then torchvision's transforms on tensors."""
    from litdata import StreamingDataLoader, StreamingDataset, optimize

    folder = case.work / "litdata"
    if not folder.exists():
        inputs = [(str(path), label) for path, label in listed(case.images)]
        optimize(_litdata_item, inputs, str(folder), chunk_bytes="64MB", num_workers=WORKERS, verbose=False)
    dataset = StreamingDataset(str(folder), shuffle=case.is_train, drop_last=False, transform=OnImage(case))
    return first(StreamingDataLoader(dataset, **case.loader))


class OnImage:
    """Applies a recipe to the image of an item; a class, because litdata's workers pickle it."""

    def __init__(self, case: Case) -> None:
        self.recipe = _tensor_recipe(case)

    def __call__(self, item: dict[str, Any]) -> tuple[Tensor, int]:
        return self.recipe(item["image"]), item["label"]


def _litdata_item(item: tuple[str, int]) -> dict[str, Any]:
    from PIL import Image

    return {"image": Image.open(item[0]), "label": item[1]}


# timm


def _timm(case: Case, *, use_prefetcher: bool) -> Pass:
    from timm.data import create_dataset, create_loader

    loader = create_loader(
        create_dataset("", root=str(case.images), is_training=case.is_train),
        input_size=(3, SIZE, SIZE), batch_size=case.batch_size, is_training=case.is_train, scale=SCALE, ratio=RATIO,
        hflip=0.5, color_jitter=0.0, interpolation="bilinear", mean=MEAN, std=STD, num_workers=WORKERS,
        crop_pct=SIZE / RESIZE, device=torch.device("cpu"), use_prefetcher=use_prefetcher,
    )  # fmt: skip
    return first(loader)


def timm(case: Case) -> Pass:
    return _timm(case, use_prefetcher=True)


def timm_float(case: Case) -> Pass:
    return _timm(case, use_prefetcher=False)


# OpenCV and albumentations


class OpencvImages:
    """The data set of albumentations' documentation."""

    def __init__(self, case: Case, *, is_float: bool) -> None:
        import albumentations as A  # noqa: N812 - its own documentation's name
        from albumentations.pytorch import ToTensorV2

        crop: list[Any] = [A.SmallestMaxSize(RESIZE), A.CenterCrop(SIZE, SIZE)]
        if case.is_train:
            crop = [A.RandomResizedCrop((SIZE, SIZE), scale=SCALE, ratio=RATIO), A.HorizontalFlip(p=0.5)]
        self.transform = A.Compose([*crop, *([A.Normalize(MEAN, STD)] if is_float else []), ToTensorV2()])
        self.items = listed(case.images)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        import cv2

        path, label = self.items[index]
        image: Any = cv2.imread(str(path))
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        return self.transform(image=image)["image"], label


def _no_opencv_threads(worker: int) -> None:
    del worker
    import cv2

    cv2.setNumThreads(0)


def opencv_float(case: Case) -> Pass:
    return _data_loader(OpencvImages(case, is_float=True), case, worker_init_fn=_no_opencv_threads)


def opencv_uint8(case: Case) -> Pass:
    return _data_loader(OpencvImages(case, is_float=False), case, worker_init_fn=_no_opencv_threads)


# FFCV


def _ffcv(case: Case, *, mode: str, is_float: bool, max_resolution: int | None = None) -> Pass:
    import numpy as np
    from ffcv.fields.decoders import CenterCropRGBImageDecoder, RandomResizedCropRGBImageDecoder
    from ffcv.loader import Loader, OrderOption
    from ffcv.transforms import NormalizeImage, RandomHorizontalFlip, ToTensor, ToTorchImage

    size = (SIZE, SIZE)
    crop: list[Any] = [CenterCropRGBImageDecoder(size, ratio=SIZE / RESIZE)]
    if case.is_train:
        crop = [RandomResizedCropRGBImageDecoder(size, scale=SCALE, ratio=RATIO), RandomHorizontalFlip()]
    pixels = [255 * np.array(MEAN), 255 * np.array(STD)]
    normalize = [NormalizeImage(*pixels, np.float32)] if is_float else []
    loader = Loader(
        str(_ffcv_file(case, mode=mode, max_resolution=max_resolution)),
        batch_size=case.batch_size, num_workers=WORKERS, os_cache=True, drop_last=False,
        order=OrderOption.RANDOM if case.is_train else OrderOption.SEQUENTIAL,
        pipelines={"image": [*crop, *normalize, ToTensor(), ToTorchImage()], "label": None},
    )  # fmt: skip
    return first(loader)


def _ffcv_file(case: Case, *, mode: str, max_resolution: int | None) -> Path:
    from ffcv.fields import IntField, RGBImageField
    from ffcv.writer import DatasetWriter
    from torchvision.datasets import ImageFolder

    path = case.work / f"{mode}{max_resolution or ''}.beton"
    if not path.exists():
        image = RGBImageField(write_mode=mode, max_resolution=max_resolution, jpeg_quality=90)
        fields = {"image": image, "label": IntField()}
        DatasetWriter(str(path), fields, num_workers=WORKERS).from_indexed_dataset(ImageFolder(str(case.images)))
    return path


def ffcv_jpeg(case: Case) -> Pass:
    return _ffcv(case, mode="jpg", is_float=True)


def ffcv_jpeg_uint8(case: Case) -> Pass:
    return _ffcv(case, mode="jpg", is_float=False)


def ffcv_raw(case: Case) -> Pass:
    """Pixels with a longer side of 341 px: as many as in a prepared image of shorter side 256."""
    return _ffcv(case, mode="raw", is_float=True, max_resolution=341)


def ffcv_raw_uint8(case: Case) -> Pass:
    return _ffcv(case, mode="raw", is_float=False, max_resolution=341)
