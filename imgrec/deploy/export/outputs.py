"""Logits of a network and of its export for real images, from the bytes of each file: both sides of the check."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from imgrec.data.images.collections import FileImages
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
    "images_of_folder",
    "logits_of_bundle",
    "logits_of_network",
    "prepared",
    "some_of",
]

Progress = Callable[[int, int], None]
Logits = NDArray[np.float32]


@dataclass(frozen=True)
class ImageSet:
    """Images for the check or for calibration.

    Attributes:
        names: As in tables and messages.
        images: Read one at a time.
        labels: int64 (N,), or 0/1 (N, C) with several labels; None where they are not known.
    """

    names: Sequence[str]
    images: Images
    labels: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.names)


def some_of(samples: Samples, limit: int) -> ImageSet:
    """Return at most `limit` of the samples, evenly spaced so that sorted classes are all represented."""
    places = np.unique(np.linspace(0, len(samples) - 1, min(limit, len(samples))).round().astype(np.int64))
    chosen = samples.subset(places)
    return ImageSet(chosen.names, chosen.images, chosen.labels)


def images_of_folder(folder: Path, *, limit: int) -> ImageSet:
    """Return at most `limit` images in a folder and below, evenly spaced, without labels.

    Raises:
        DataError: Not a folder, or no images.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder of images.")
    (files,) = Walk([os.path.realpath(folder)]).files([str(folder)])
    if not files:
        raise DataError(f"{folder} holds no images.")
    images = FileImages([Path(file) for file in files])
    chosen = some_of(Samples(files, images, np.full(len(files), -1)), limit)
    return ImageSet(chosen.names, chosen.images)


def logits_of_network(
    network: Callable[[torch.Tensor], torch.Tensor],
    preprocess: Preprocess,
    image_set: ImageSet,
    *,
    batch_size: int = 32,
    progress: Progress | None = None,
) -> Logits:
    """Return logits (N, C) of a network in PyTorch, float32, as validation and evaluation compute them."""

    def run(batch: list[UInt8Array]) -> Logits:
        return infer(network, [np.stack(batch)]).logits

    return logits_by(run, preprocess.from_lazy_image, image_set, batch_size=batch_size, progress=progress)


def logits_of_bundle(
    bundle: Bundle, image_set: ImageSet, *, batch_size: int = 32, progress: Progress | None = None
) -> Logits:
    """Return logits (N, C) of a bundle, with its own preprocessing."""
    return logits_by(bundle.run, bundle.prepare, image_set, batch_size=batch_size, progress=progress)


def prepared(preprocess: Preprocess, image_set: ImageSet) -> list[UInt8Array]:
    """Return all images preprocessed, each uint8 (H, W, 3)."""
    return [preprocess.from_lazy_image(open_image(image_set.images, place)) for place in range(len(image_set))]


def logits_by(
    run: Callable[[list[UInt8Array]], Logits],
    prepare: Callable[[LazyImage], UInt8Array],
    image_set: ImageSet,
    *,
    batch_size: int = 32,
    progress: Progress | None = None,
) -> Logits:
    """Return logits (N, C) by `run`, which gets batches of images preprocessed by `prepare`."""
    parts = []
    for start in range(0, len(image_set), batch_size):
        places = range(start, min(start + batch_size, len(image_set)))
        parts.append(run([prepare(open_image(image_set.images, place)) for place in places]))
        if progress is not None:
            progress(places.stop, len(image_set))
    return np.concatenate(parts)
