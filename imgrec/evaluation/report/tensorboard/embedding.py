"""Some test images as TensorBoard's projector shows them: by what enters the head of the network."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from imgrec.data.loading.dataset import ImageDataset
from imgrec.data.samples import UInt8Array
from imgrec.errors import ImageError
from imgrec.evaluation.predictions.predictions import Predictions
from imgrec.evaluation.report.tensorboard.projector import SPRITE_PX, write_projector
from imgrec.models.features import features_and_logits
from imgrec.models.network import ImageNetwork

if TYPE_CHECKING:
    from imgrec.data.loading.datamodule import ImageDataModule

__all__ = ["MOST_BYTES", "NUM_IMAGES", "write_embedding"]

NUM_IMAGES = 1000
MOST_BYTES = 1_000_000_000  # of weights: beyond, another pass over a thousand images is no trifle
_BATCH = 64
_MOST_PIXELS = 64 * 224 * 224  # of a batch


def write_embedding(
    network: nn.Module, data: "ImageDataModule", split: str, predictions: Predictions, log_folder: Path, *, tag: str
) -> int:
    """Write the features of up to 1,000 scored images for TensorBoard's projector; return of how many.

    Images are taken evenly from the scored split. 0, and nothing written: the network is not an `ImageNetwork`, or
    larger than MOST_BYTES. Raises: RunFolderError.
    """
    if not isinstance(network, ImageNetwork) or not network.head_parameters or _weight_bytes(network) > MOST_BYTES:
        return 0
    samples = data.split(split)
    places = np.unique(np.linspace(0, len(samples) - 1, NUM_IMAGES).astype(np.int64))
    dataset = ImageDataset(samples, preprocess=data.preprocess)
    device = next(network.parameters()).device
    before = network.training
    network.eval()
    rows: list[int] = []
    features: list[NDArray[np.float32]] = []
    shown: list[UInt8Array] = []
    for images, batch in _batches(dataset, places):
        pixels = torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).to(device)
        features.append(features_and_logits(network, pixels)[0].cpu().numpy())
        shown += [_sprite(image) for image in images]
        rows += batch
    network.train(before)
    if rows:
        columns = _columns(predictions, [samples.names[row] for row in rows])
        write_projector(log_folder, np.concatenate(features), np.stack(shown), columns=columns, tag=tag)
    return len(rows)


def _weight_bytes(network: nn.Module) -> int:
    return sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())


def _batches(dataset: ImageDataset, places: NDArray[np.int64]) -> Iterator[tuple[UInt8Array, list[int]]]:
    """Yield images (n, H, W, 3) of one size, and their places; one that cannot be read is left out."""
    images: list[UInt8Array] = []
    batch: list[int] = []
    for place in places.tolist():
        try:
            image = dataset.image(place, 0)
        except ImageError:
            continue
        is_full = len(images) == _BATCH or (len(images) + 1) * image.shape[0] * image.shape[1] > _MOST_PIXELS
        if images and (is_full or image.shape != images[0].shape):
            yield np.stack(images), batch
            images, batch = [], []
        images.append(image)
        batch.append(place)
    if images:
        yield np.stack(images), batch


def _sprite(image: UInt8Array) -> UInt8Array:
    import cv2

    way = cv2.INTER_AREA if min(image.shape[:2]) > SPRITE_PX else cv2.INTER_NEAREST
    return np.asarray(
        cv2.resize(np.ascontiguousarray(image), (SPRITE_PX, SPRITE_PX), interpolation=way), dtype=np.uint8
    )


def _columns(predictions: Predictions, names: list[str]) -> list[tuple[str, list[str]]]:
    """Return what the projector can colour the points by, and search."""
    by_name = {name: row for row, name in enumerate(predictions.names)}
    rows = [by_name[name] for name in names]
    labels, predicted = predictions.labels[rows], predictions.predicted[rows]
    is_right = labels == predicted if labels.ndim == 1 else (labels == predicted).all(axis=1)
    return [
        ("label", [_named(predictions, label) for label in labels]),
        ("prediction", [_named(predictions, label) for label in predicted]),
        ("right", ["yes" if right else "no" for right in is_right]),
        ("confidence", [f"{value:.4f}" for value in predictions.probabilities[rows].max(axis=1)]),
        ("path", names),
    ]


def _named(predictions: Predictions, label: NDArray[np.int64]) -> str:
    indices = np.flatnonzero(label) if label.ndim else [int(label)]
    return ", ".join(predictions.class_names[int(index)] for index in indices)
