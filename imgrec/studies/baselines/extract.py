"""Feature extraction for a split, in chunks, with one worker per processor."""

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

__all__ = ["Extracted", "ImageFacts", "Progress", "extract", "inspect_images", "shrink"]

CHUNK = 128  # images in memory at a time: of 224 px, 19 MB
NUM_INSPECTED = 256
FEW = 1000  # images in memory that take less time than starting a worker

Progress = Callable[[int, int], None]
Transform = Callable[[UInt8Array], UInt8Array]


@dataclass(frozen=True)
class ImageFacts:
    """Size of the training images after preprocessing, and whether all that were inspected are gray."""

    height_width: tuple[int, int]
    is_gray: bool

    @property
    def factor(self) -> int:
        """The integer factor by which sides are reduced for hand-crafted features."""
        return working_factor(self.height_width)

    @property
    def working_size(self) -> tuple[int, int]:
        """(height, width) of the images that hand-crafted features are computed from."""
        height, width = self.height_width
        return max(1, height // self.factor), max(1, width // self.factor)


@dataclass(frozen=True)
class Extracted:
    """Features of a split by descriptor, float32 (N, D) each, and milliseconds per image in one process."""

    features: Mapping[str, FloatArray]
    ms_per_image: Mapping[str, float]


def inspect_images(samples: Samples, preprocess: Transform) -> ImageFacts:
    """Inspect up to 256 images, evenly spaced. Raises: DataError: Different sizes. ImageError: An unreadable image."""
    places = np.unique(np.linspace(0, len(samples) - 1, NUM_INSPECTED).astype(int)).tolist()
    dataset = ImageDataset(samples, preprocess=preprocess)
    grays: list[bool] = []
    size: tuple[int, int] | None = None
    for start in range(0, len(places), CHUNK):
        images = _images(dataset[[(place, 0) for place in places[start : start + CHUNK]]])
        size = size or (images.shape[1], images.shape[2])
        _check_size(images, size)
        grays.append(is_gray(images))
    assert size is not None
    return ImageFacts(size, all(grays))


def extract(
    samples: Samples,
    *,
    preprocess: Transform,
    facts: ImageFacts,
    descriptors: Mapping[str, Descriptor],
    progress: Progress | None = None,
) -> Extracted:
    """Return the features of all images of a split, in its order.

    Raises:
        DataError: An image of another size than `facts` has.
        ImageError: An image cannot be read.
    """
    dataset = _DescribedDataset(samples, preprocess=preprocess, facts=facts, descriptors=descriptors)
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
    """Return images (n, H, W, 3) reduced to (height, width) by area averaging."""
    if images.shape[1:3] == size:
        return images
    small = [cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_AREA) for image in images]
    return np.stack(small).astype(np.uint8)


class _DescribedDataset(ImageDataset):
    """Batches of features in place of images, computed by the workers of a loader."""

    def __init__(
        self, samples: Samples, *, preprocess: Transform, facts: ImageFacts, descriptors: Mapping[str, Descriptor]
    ) -> None:
        super().__init__(samples, preprocess=preprocess)
        self.facts = facts
        self.descriptors = descriptors

    def __getitem__(self, keys: Sequence[SampleKey]) -> Any:
        batch = super().__getitem__(keys)
        try:
            images = _images(batch)
            _check_size(images, self.facts.height_width)
            small = shrink(images, self.facts.working_size)
            described: dict[str, Any] = {"indices": torch.tensor([index for index, _ in keys]), "seconds": {}}
            for name, descriptor in self.descriptors.items():
                start = time.perf_counter()
                described[name] = torch.from_numpy(descriptor(small))
                described["seconds"][name] = time.perf_counter() - start
        except ImgrecError as error:
            return error
        return described


def _batches(dataset: ImageDataset, *, num_workers: int, size: int = CHUNK) -> Any:
    """Yield batches in order; raise the error of a worker; end the workers when done."""
    sampler = EvalBatchSampler(len(dataset), batch_size=size, rank=0, world_size=1)
    loader = make_loader(dataset, sampler, num_workers=num_workers)
    with closing(_Ending(loader)):
        for batch in loader:
            if isinstance(batch, ImgrecError):
                raise batch
            yield batch


class _Ending:
    """Ends the workers of a loader when it is closed."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def close(self) -> None:
        self.loader.end_workers()


def _num_workers(samples: Samples) -> int:
    is_small = bool(getattr(samples.images, "in_memory", False)) and len(samples) <= FEW
    return 0 if is_small or num_processors() == 1 else num_processors()


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
