"""The dataset: it decodes, augments or preprocesses, and stacks whole batches. Images stay uint8."""

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any, NotRequired, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from imgrec.data.augment.batch import gather
from imgrec.data.images.collections import ArrayImages
from imgrec.data.images.lazy_image import open_image
from imgrec.data.images.properties import measure_images
from imgrec.data.loading.sampler import SampleKey
from imgrec.data.samples import Images, ImagesView, Samples, UInt8Array
from imgrec.errors import DataError, ImageError, ImgrecError

IndexArray = NDArray[np.int64]
Transform = Callable[[UInt8Array], UInt8Array]


class Batch(TypedDict):
    """A batch of N images.

    Attributes:
        images: uint8 (N, 3, H, W).
        labels: int64 (N,), or uint8 (N, C) for several labels per image.
        indices: int64 (N,), index of each sample in its split.
        excluded: Errors of images that could not be read, if any; removed when the batch arrives.
        properties: float32 (N, P), properties of each image, if requested; see `measure_images`.
    """

    images: Tensor
    labels: Tensor
    indices: Tensor
    excluded: NotRequired[list[ImageError]]
    properties: NotRequired[Tensor]


class ImageDataset(Dataset[Batch | ImgrecError]):
    """Whole batches by their keys; used with `DataLoader(..., batch_size=None)` and a batch sampler.

    Args:
        samples: The split.
        preprocess: Makes every image the same size.
        augment: For training only. It works on the preprocessed image (`augment.after == "preprocess"`), in its place
            (`"decode"`), or on all images of the batch at once (`"batch"`). The first two are called as
            `augment(image, key=(seed, epoch, index))`.
        seed: Keys the augmentation.
        strict: One image that cannot be read makes the batch an error; otherwise it is listed in `excluded`.
        measure: Whether batches hold properties of their images; without `augment` only.
    """

    def __init__(
        self,
        samples: Samples,
        *,
        preprocess: Transform,
        augment: Any = None,
        seed: int = 0,
        strict: bool = True,
        measure: bool = False,
    ) -> None:
        assert augment is None or not measure, "properties are those of the image as it is"
        self.samples = samples
        self.preprocess = preprocess
        self.augment = augment
        self.seed = seed
        self.strict = strict
        self.measure = measure
        self._after = None if augment is None else augment.after
        self._at_once = self._after in (None, "batch") and _is_ready(samples.images, preprocess)

    def __len__(self) -> int:
        return len(self.samples)

    def for_another_thread(self) -> "ImageDataset":
        """Return this dataset with its own copy of the augmentation, which is not thread-safe."""
        other = copy.copy(self)
        other.augment = copy.deepcopy(self.augment)
        return other

    def image(self, index: int, epoch: int) -> UInt8Array:
        """Return image `index` as the network sees it in `epoch`: uint8 (H, W, 3).

        Raises:
            ImageError: It cannot be read.
        """
        if self._after == "batch":
            one = self._preprocessed(index)[None]
            image: UInt8Array = self.augment(one, seed=self.seed, epoch=epoch, indices=np.array([index]))[0]
            return image
        return self._one(index, epoch)

    def __getitem__(self, keys: Sequence[SampleKey]) -> Batch | ImgrecError:
        """Return the batch, or the error that it led to.

        The error is returned, not raised, because a worker turns a raised one into a long traceback; the data module
        raises it in the main process.
        """
        try:
            return self._batch(keys)
        except ImgrecError as error:
            return error

    def _batch(self, keys: Sequence[SampleKey]) -> Batch:
        if self._at_once:
            indices = np.array([index for index, _ in keys], dtype=np.int64)
            images = gather(self.samples.images, indices)
            batch = self._made(images, indices, epoch=keys[0][1])
            return self._measured(batch, images, [images.shape[1:3]] * len(images)) if self.measure else batch
        return self._one_by_one(keys)

    def _measured(self, batch: Batch, images: Sequence[UInt8Array] | UInt8Array, sizes: Sequence[Any]) -> Batch:
        batch["properties"] = torch.from_numpy(measure_images(images, sizes))
        return batch

    def _one_by_one(self, keys: Sequence[SampleKey]) -> Batch:
        images: list[UInt8Array] = []
        sizes: list[tuple[int, int]] = []
        indices: list[int] = []
        excluded: list[ImageError] = []
        for index, epoch in keys:
            try:
                if self.measure:
                    image, size = self._seen(index)
                    sizes.append(size)
                else:
                    image = self._preprocessed(index) if self._after == "batch" else self._one(index, epoch)
            except ImageError as error:
                if self.strict:
                    raise
                excluded.append(error)
            else:
                images.append(image)
                indices.append(index)
        if not images:
            raise DataError(f"None of the {len(keys)} images of a batch can be read, the first: {excluded[0]}")
        _check_sizes(images, [self.samples.names[index] for index in indices])
        batch = self._made(images, np.array(indices, dtype=np.int64), epoch=keys[0][1])
        if excluded:
            batch["excluded"] = excluded
        return self._measured(batch, images, sizes) if self.measure else batch

    def _made(self, images: Sequence[UInt8Array] | UInt8Array, indices: IndexArray, *, epoch: int) -> Batch:
        """Return the batch of images of one size, after the augmentation of whole batches."""
        if self._after == "batch":
            images = images if isinstance(images, np.ndarray) else np.stack(images)
            images = self.augment(images, seed=self.seed, epoch=epoch, indices=indices)
        return Batch(
            images=_planes(images),
            labels=torch.from_numpy(self.samples.labels[indices]),
            indices=torch.from_numpy(indices),
        )

    def _one(self, index: int, epoch: int) -> UInt8Array:
        key = (self.seed, epoch, index)
        if self._after == "decode" and hasattr(self.augment, "from_lazy_image"):
            image: UInt8Array = self.augment.from_lazy_image(open_image(self.samples.images, index), key=key)
            return image
        image = self.samples.images[index] if self._after == "decode" else self._preprocessed(index)
        return image if self.augment is None else self.augment(image, key=key)

    def _preprocessed(self, index: int) -> UInt8Array:
        return self._seen(index)[0]

    def _seen(self, index: int) -> tuple[UInt8Array, tuple[int, int]]:
        """Return image `index`, preprocessed, and its height and width before."""
        from_lazy_image = getattr(self.preprocess, "from_lazy_image", None)
        if from_lazy_image is None:
            whole = self.samples.images[index]
            return self.preprocess(whole), (whole.shape[0], whole.shape[1])
        image = open_image(self.samples.images, index)
        return from_lazy_image(image), image.height_width


def _check_sizes(images: Sequence[UInt8Array], names: Sequence[str]) -> None:
    """Check that all images have one size.

    Raises:
        DataError: They have not.
    """
    for image, name in zip(images, names, strict=True):
        if image.shape != images[0].shape:
            raise DataError(
                f"{name} is {image.shape[1]}x{image.shape[0]} px after preprocessing, {names[0]} is "
                f"{images[0].shape[1]}x{images[0].shape[0]}. A batch needs one size: set preprocess=crop or squash."
            )


def _planes(images: Sequence[UInt8Array] | UInt8Array) -> Tensor:
    """Return N images (H, W, 3) of one size as one contiguous uint8 (N, 3, H, W)."""
    if isinstance(images, np.ndarray) and get_worker_info() is None:
        return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    import cv2

    batch = _empty((len(images), 3, *images[0].shape[:2]))
    for planes, image in zip(batch.numpy(), images, strict=True):
        cv2.split(image, list(planes))  # into the batch itself, in a seventh of NumPy's time
    return batch


def _empty(shape: tuple[int, ...]) -> Tensor:
    """Return uint8 memory; in a worker, shared with the main process, so that a batch need not be copied."""
    if get_worker_info() is None:
        return torch.empty(shape, dtype=torch.uint8)
    storage = torch.UntypedStorage._new_shared(math.prod(shape))  # type: ignore[no-untyped-call]
    return torch.empty(0, dtype=torch.uint8).set_(storage).view(shape)


def _is_ready(images: Images, preprocess: Transform) -> bool:
    """Return whether the images are in one array, of a size that `preprocess` leaves unchanged."""
    while isinstance(images, ImagesView):
        images = images.images
    keeps = getattr(preprocess, "keeps", None)
    return isinstance(images, ArrayImages) and keeps is not None and bool(keeps(*images.array.shape[1:3]))
