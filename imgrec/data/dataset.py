"""From sample keys to a batch: decode, augment or preprocess, stack. Everything stays uint8."""

from collections.abc import Callable, Sequence
from typing import Any, TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from imgrec.data.sampler import SampleKey
from imgrec.data.samples import Samples, UInt8Array
from imgrec.errors import DataError, ImgrecError

Transform = Callable[[UInt8Array], UInt8Array]


class Batch(TypedDict):
    """images: uint8 (N, 3, H, W). labels: int64 (N,) or uint8 (N, C). indices: int64 (N,), the sample's place."""

    images: Tensor
    labels: Tensor
    indices: Tensor


class ImageDataset(Dataset[Batch | ImgrecError]):
    """Whole batches by their keys; used with `DataLoader(..., batch_size=None)` and a batch sampler.

    `preprocess` makes every picture the same size. `augment`, for training only, is called as
    `augment(image, key=(seed, epoch, index))` either on the preprocessed picture (`augment.after == "preprocess"`) or
    in its place (`augment.after == "decode"`).
    """

    def __init__(self, samples: Samples, *, preprocess: Transform, augment: Any = None, seed: int = 0) -> None:
        self.samples = samples
        self.preprocess = preprocess
        self.augment = augment
        self.seed = seed

    def __len__(self) -> int:
        return len(self.samples)

    def image(self, index: int, epoch: int) -> UInt8Array:
        """Return picture `index` as the network sees it in `epoch`: uint8 (H, W, 3). Raises: ImageError."""
        image = self.samples.images[index]
        if self.augment is None or self.augment.after == "preprocess":
            image = self.preprocess(image)
        if self.augment is not None:
            image = self.augment(image, key=(self.seed, epoch, index))
        return image

    def __getitem__(self, keys: Sequence[SampleKey]) -> Batch | ImgrecError:
        """Return the batch, or what is wrong with it.

        The error is returned and not raised, because a loader's worker process turns a raised one into a wall of
        text; the data module raises it again in the main process.
        """
        indices = np.array([index for index, _ in keys], dtype=np.int64)
        try:
            images = [self.image(index, epoch) for index, epoch in keys]
            stacked = _stack(images, [self.samples.names[index] for index in indices])
        except ImgrecError as error:
            return error
        return Batch(
            images=stacked,
            labels=torch.from_numpy(self.samples.labels[indices]),
            indices=torch.from_numpy(indices),
        )


def _stack(images: Sequence[UInt8Array], names: Sequence[str]) -> Tensor:
    """Write N pictures (H, W, 3) into one contiguous uint8 (N, 3, H, W)."""
    batch = torch.empty((len(images), 3, *images[0].shape[:2]), dtype=torch.uint8)
    planes = batch.numpy()
    for place, (image, name) in enumerate(zip(images, names, strict=True)):
        if image.shape != images[0].shape:
            raise DataError(
                f"{name} is {image.shape[1]}x{image.shape[0]} px after preprocessing, {names[0]} is "
                f"{images[0].shape[1]}x{images[0].shape[0]}. A batch needs one size: set preprocess=crop or squash."
            )
        planes[place] = image.transpose(2, 0, 1)
    return batch
