"""What a model says about real images, from the bytes of each file to its logits: both sides of the gate."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from imgrec.data.images.image import FileImages
from imgrec.data.images.lazy_image import LazyImage, open_image
from imgrec.data.images.preprocess import Preprocess
from imgrec.data.samples import Images, Samples, UInt8Array
from imgrec.data.sources.walk import Walk
from imgrec.deploy.bundle.bundle import Bundle
from imgrec.errors import DataError
from imgrec.models.inference import infer

__all__ = [
    "ImageSet",
    "Progress",
    "answers_of_bundle",
    "answers_of_network",
    "images_of_folder",
    "prepared",
    "some_of",
]

Progress = Callable[[int, int], None]
Logits = NDArray[np.float32]


@dataclass(frozen=True)
class ImageSet:
    """Images to ask both sides about.

    names: as in tables and messages. labels: int64 (N,), or 0/1 (N, C) with several labels; None = not known.
    """

    names: Sequence[str]
    images: Images
    labels: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.names)


def some_of(samples: Samples, limit: int) -> ImageSet:
    """Return at most `limit` of the samples, evenly spaced, so that sorted classes are all among them."""
    places = np.unique(np.linspace(0, len(samples) - 1, min(limit, len(samples))).round().astype(np.int64))
    chosen = samples.subset(places)
    return ImageSet(chosen.names, chosen.images, chosen.labels)


def images_of_folder(folder: Path, *, limit: int) -> ImageSet:
    """Return at most `limit` images in a folder and below, evenly spaced, without labels. Raises: DataError."""
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder of images.")
    (files,) = Walk([os.path.realpath(folder)]).files([str(folder)])
    if not files:
        raise DataError(f"{folder} holds no images.")
    images = FileImages([Path(file) for file in files])
    chosen = some_of(Samples(files, images, np.full(len(files), -1)), limit)
    return ImageSet(chosen.names, chosen.images)


def answers_of_network(
    network: Callable[[torch.Tensor], torch.Tensor],
    preprocess: Preprocess,
    image_set: ImageSet,
    *,
    batch_size: int = 32,
    progress: Progress | None = None,
) -> Logits:
    """Return logits (N, C) of the network in PyTorch, float32, as validation and evaluation compute them."""

    def ask(batch: list[UInt8Array]) -> Logits:
        return infer(network, [np.stack(batch)]).logits

    return answers_by(ask, preprocess.from_lazy_image, image_set, batch_size=batch_size, progress=progress)


def answers_of_bundle(
    bundle: Bundle, image_set: ImageSet, *, batch_size: int = 32, progress: Progress | None = None
) -> Logits:
    """Return logits (N, C) of a bundle, prepared by what the bundle itself says."""
    return answers_by(bundle.run, bundle.prepare, image_set, batch_size=batch_size, progress=progress)


def prepared(preprocess: Preprocess, image_set: ImageSet) -> list[UInt8Array]:
    """Return all images as the network sees them, each uint8 (H, W, 3)."""
    return [preprocess.from_lazy_image(open_image(image_set.images, place)) for place in range(len(image_set))]


def answers_by(
    ask: Callable[[list[UInt8Array]], Logits],
    prepare: Callable[[LazyImage], UInt8Array],
    image_set: ImageSet,
    *,
    batch_size: int = 32,
    progress: Progress | None = None,
) -> Logits:
    """Return logits (N, C) by `ask`, which gets batches of what `prepare` makes of each image."""
    parts = []
    for start in range(0, len(image_set), batch_size):
        places = range(start, min(start + batch_size, len(image_set)))
        parts.append(ask([prepare(open_image(image_set.images, place)) for place in places]))
        if progress is not None:
            progress(places.stop, len(image_set))
    return np.concatenate(parts)
