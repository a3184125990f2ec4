"""Some test images as TensorBoard's projector shows them: by what enters the head of the network."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import nn

from imgrec.data.loading.dataset import ImageDataset
from imgrec.data.loading.readable import ReadableBatches
from imgrec.data.samples import UInt8Array
from imgrec.evaluation.predictions.predictions import Predictions
from imgrec.evaluation.report.tensorboard.projector import SPRITE_PX, write_projector
from imgrec.models.inference import has_features, infer

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
    if not has_features(network) or _weight_bytes(network) > MOST_BYTES:
        return 0
    samples = data.split(split)
    places = np.unique(np.linspace(0, len(samples) - 1, NUM_IMAGES).astype(np.int64))
    dataset = ImageDataset(samples, preprocess=data.preprocess)
    device = next(network.parameters()).device
    before = network.training
    network.eval()
    batches = ReadableBatches(dataset, places.tolist(), size=_BATCH, max_pixels=_MOST_PIXELS)
    features: list[NDArray[np.float32]] = []
    shown: list[UInt8Array] = []
    for images in batches:
        features.append(infer(network, [images], device=device, with_features=True).features)
        shown += [_sprite(image) for image in images]
    network.train(before)
    if rows := batches.read:
        columns = _columns(predictions, [samples.names[row] for row in rows])
        write_projector(log_folder, np.concatenate(features), np.stack(shown), columns=columns, tag=tag)
    return len(rows)


def _weight_bytes(network: nn.Module) -> int:
    return sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())


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
