"""From the images of a split to features, chunk by chunk, in as many processes as there are processors."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch

from imgrec.core.system.hardware import num_processors
from imgrec.data.loading.dataset import ImageDataset
from imgrec.data.loading.loader import make_loader
from imgrec.data.loading.sampler import EvalBatchSampler, SampleKey
from imgrec.data.samples import Samples, UInt8Array
from imgrec.errors import DataError, ImgrecError
from imgrec.studies.baselines.features import Descriptor, working_factor
from imgrec.studies.baselines.pixels import FloatArray, is_gray

__all__ = ["Extracted", "Look", "Progress", "extract", "look_at", "shrink"]

CHUNK = 128  # images in memory at a time: of 224 px, 19 MB
NUM_LOOKED_AT = 256
FEW = 1000  # images in memory that are described before another process would have begun

Progress = Callable[[int, int], None]
Transform = Callable[[UInt8Array], UInt8Array]


@dataclass(frozen=True)
class Look:
    """What the training images are like: (height, width) after preprocessing, and whether all seen are gray."""

    height_width: tuple[int, int]
    is_gray: bool

    @property
    def factor(self) -> int:
        """By what the sides are divided before features are made by hand."""
        return working_factor(self.height_width)

    @property
    def working_size(self) -> tuple[int, int]:
        """(height, width) of the images that features are made of."""
        height, width = self.height_width
        return max(1, height // self.factor), max(1, width // self.factor)


@dataclass(frozen=True)
class Extracted:
    """The features of a split by the name of their descriptor: float32 (N, D) each; and ms per image and process."""

    features: Mapping[str, FloatArray]
    ms_per_image: Mapping[str, float]


def look_at(samples: Samples, preprocess: Transform) -> Look:
    """Look at up to 256 images, evenly spaced. Raises: DataError: of different sizes. ImageError."""
    places = np.unique(np.linspace(0, len(samples) - 1, NUM_LOOKED_AT).astype(int)).tolist()
    dataset = ImageDataset(samples, preprocess=preprocess)
    grays: list[bool] = []
    size: tuple[int, int] | None = None
    for start in range(0, len(places), CHUNK):
        images = _images(dataset[[(place, 0) for place in places[start : start + CHUNK]]])
        size = size or (images.shape[1], images.shape[2])
        _check_size(images, size)
        grays.append(is_gray(images))
    assert size is not None
    return Look(size, all(grays))


def extract(
    samples: Samples,
    *,
    preprocess: Transform,
    look: Look,
    descriptors: Mapping[str, Descriptor],
    progress: Progress | None = None,
) -> Extracted:
    """Describe all images of a split, in its order.

    Raises: DataError: images of other sizes than `look` found. ImageError: an image that cannot be read.
    """
    dataset = _DescribedDataset(samples, preprocess=preprocess, look=look, descriptors=descriptors)
    parts: dict[str, list[FloatArray]] = {name: [] for name in descriptors}
    seconds = dict.fromkeys(descriptors, 0.0)
    done = 0
    for batch in _batches(dataset, num_workers=_num_workers(samples)):
        for name in descriptors:
            parts[name].append(batch[name].numpy())
            seconds[name] += float(batch["seconds"][name])
        done += len(batch["indices"])
        if progress is not None:
            progress(done, len(samples))
    features = {name: np.concatenate(rows) for name, rows in parts.items()}
    return Extracted(features, {name: 1000 * spent / len(samples) for name, spent in seconds.items()})


def batches_of(samples: Samples, *, preprocess: Transform, batch_size: int) -> Any:
    """Yield the images of a split in its order as uint8 tensors (n, 3, H, W). Raises: ImageError, DataError."""
    dataset = ImageDataset(samples, preprocess=preprocess)
    in_memory = bool(getattr(samples.images, "in_memory", False))
    for batch in _batches(dataset, num_workers=0 if in_memory else _num_workers(samples), size=batch_size):
        yield batch["images"]


def shrink(images: UInt8Array, size: tuple[int, int]) -> UInt8Array:
    """Return images (n, H, W, 3) made smaller to (height, width), each pixel the mean of what it covers."""
    if images.shape[1:3] == size:
        return images
    small = [cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_AREA) for image in images]
    return np.stack(small).astype(np.uint8)


class _DescribedDataset(ImageDataset):
    """Whole batches of features in place of images, so that a loader's processes make them."""

    def __init__(
        self, samples: Samples, *, preprocess: Transform, look: Look, descriptors: Mapping[str, Descriptor]
    ) -> None:
        super().__init__(samples, preprocess=preprocess)
        self.look = look
        self.descriptors = descriptors

    def __getitem__(self, keys: Sequence[SampleKey]) -> Any:
        batch = super().__getitem__(keys)
        try:
            images = _images(batch)
            _check_size(images, self.look.height_width)
            small = shrink(images, self.look.working_size)
            described: dict[str, Any] = {"indices": torch.tensor([index for index, _ in keys]), "seconds": {}}
            for name, descriptor in self.descriptors.items():
                start = time.perf_counter()
                described[name] = torch.from_numpy(descriptor(small))
                described["seconds"][name] = time.perf_counter() - start
        except ImgrecError as error:
            return error
        return described


def _batches(dataset: ImageDataset, *, num_workers: int, size: int = CHUNK) -> Any:
    """Yield batches in order, raising what a process met instead of one; end the processes when done."""
    sampler = EvalBatchSampler(len(dataset), batch_size=size, rank=0, world_size=1)
    loader = make_loader(dataset, sampler, num_workers=num_workers)
    with closing(_Ending(loader)):
        for batch in loader:
            if isinstance(batch, ImgrecError):
                raise batch
            yield batch


class _Ending:
    """Ends a loader's processes when it is closed, whatever happened."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def close(self) -> None:
        self.loader.end_workers()


def _num_workers(samples: Samples) -> int:
    is_little = bool(getattr(samples.images, "in_memory", False)) and len(samples) <= FEW
    return 0 if is_little or num_processors() == 1 else num_processors()


def _images(batch: Any) -> UInt8Array:
    if isinstance(batch, ImgrecError):
        raise batch
    images: UInt8Array = batch["images"].numpy().transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images)


def _check_size(images: UInt8Array, height_width: tuple[int, int]) -> None:
    if images.shape[1:3] != height_width:
        raise DataError(
            f"Images of {images.shape[2]}x{images.shape[1]} px and of {height_width[1]}x{height_width[0]} px "
            "after preprocessing. Features need one size: set preprocess=squash or crop."
        )
