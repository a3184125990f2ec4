"""From sample keys to a batch: decode, augment or preprocess, stack. Everything stays uint8."""

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
    """images: uint8 (N, 3, H, W). labels: int64 (N,) or uint8 (N, C). indices: int64 (N,), the sample's place.

    left_out: what is wrong with the images that should be here too, if there are any; taken out on arrival.
    properties: float32 (N, P), what was measured of each image, where that was asked for; see `measure_images`.
    """

    images: Tensor
    labels: Tensor
    indices: Tensor
    left_out: NotRequired[list[ImageError]]
    properties: NotRequired[Tensor]


class ImageDataset(Dataset[Batch | ImgrecError]):
    """Whole batches by their keys; used with `DataLoader(..., batch_size=None)` and a batch sampler.

    `preprocess` makes every image the same size. `augment`, for training only, works on the preprocessed image
    (`augment.after == "preprocess"`), in its place (`"decode"`), or on all images of the batch at once (`"batch"`).
    The first two are called as `augment(image, key=(seed, epoch, index))`.

    strict: one image that cannot be read makes the batch an error; otherwise the batch comes without it, and says so.
    measure: whether batches bring the properties of their images; goes without `augment` only.
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
        """Return this data set with an augmentation of its own, as one object of that serves one thread at a time."""
        other = copy.copy(self)
        other.augment = copy.deepcopy(self.augment)
        return other

    def image(self, index: int, epoch: int) -> UInt8Array:
        """Return image `index` as the network sees it in `epoch`: uint8 (H, W, 3). Raises: ImageError."""
        if self._after == "batch":
            one = self._preprocessed(index)[None]
            image: UInt8Array = self.augment(one, seed=self.seed, epoch=epoch, indices=np.array([index]))[0]
            return image
        return self._one(index, epoch)

    def __getitem__(self, keys: Sequence[SampleKey]) -> Batch | ImgrecError:
        """Return the batch, or what is wrong with it.

        The error is returned and not raised, because a loader's worker process turns a raised one into a wall of
        text; the data module raises it again in the main process.
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
        left_out: list[ImageError] = []
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
                left_out.append(error)
            else:
                images.append(image)
                indices.append(index)
        if not images:
            raise DataError(f"None of the {len(keys)} images of a batch can be read, the first: {left_out[0]}")
        _check_sizes(images, [self.samples.names[index] for index in indices])
        batch = self._made(images, np.array(indices, dtype=np.int64), epoch=keys[0][1])
        if left_out:
            batch["left_out"] = left_out
        return self._measured(batch, images, sizes) if self.measure else batch

    def _made(self, images: Sequence[UInt8Array] | UInt8Array, indices: IndexArray, *, epoch: int) -> Batch:
        """Return the batch of images of one size, which lack only what is done to all of a batch at once."""
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
        """Return image `index` as the network sees it, and the height and width that it was found with."""
        from_lazy_image = getattr(self.preprocess, "from_lazy_image", None)
        if from_lazy_image is None:
            whole = self.samples.images[index]
            return self.preprocess(whole), (whole.shape[0], whole.shape[1])
        image = open_image(self.samples.images, index)
        return from_lazy_image(image), image.height_width


def _check_sizes(images: Sequence[UInt8Array], names: Sequence[str]) -> None:
    """Check that all images have one size. Raises: DataError."""
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
        cv2.split(image, list(planes))  # into the batch itself, in a seventh of the time that NumPy takes
    return batch


def _empty(shape: tuple[int, ...]) -> Tensor:
    """Return uint8 memory; in a loader process shared with the main one, so that a batch need not be copied there."""
    if get_worker_info() is None:
        return torch.empty(shape, dtype=torch.uint8)
    storage = torch.UntypedStorage._new_shared(math.prod(shape))  # type: ignore[no-untyped-call]
    return torch.empty(0, dtype=torch.uint8).set_(storage).view(shape)


def _is_ready(images: Images, preprocess: Transform) -> bool:
    """Whether the images are in one array already, of a size that `preprocess` would leave as it is."""
    while isinstance(images, ImagesView):
        images = images.images
    keeps = getattr(preprocess, "keeps", None)
    return isinstance(images, ArrayImages) and keeps is not None and bool(keeps(*images.array.shape[1:3]))
