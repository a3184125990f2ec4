"""Features of evaluated images for TensorBoard's projector: the input of the model's head."""

from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from imgrec.core.text import printable
from imgrec.data.loading.dataset import ImageDataset
from imgrec.data.loading.readable import ReadableBatches
from imgrec.data.samples import UInt8Array
from imgrec.evaluation.predictions.predictions import Predictions
from imgrec.models.inference import has_features, infer

if TYPE_CHECKING:
    from imgrec.data.loading.datamodule import ImageDataModule

__all__ = ["MOST_BYTES", "NUM_IMAGES", "write_embedding"]

NUM_IMAGES = 1000
MOST_BYTES = 1_000_000_000  # of weights: for larger models another pass over the images takes too long
SPRITE_PX = 32
_BATCH = 64
_MOST_PIXELS = 64 * 224 * 224  # of a batch


def write_embedding(
    network: nn.Module, data: "ImageDataModule", split: str, predictions: Predictions, writer: Any, *, tag: str
) -> int:
    """Write the features of up to 1,000 evaluated images for TensorBoard's projector.

    Args:
        network: Only an `ImageNetwork` of at most MOST_BYTES has features that are written.
        data: Holds the evaluated split.
        split: Its name; images are taken evenly from it.
        predictions: Of the split.
        writer: A `SummaryWriter`.
        tag: Name of the embedding.

    Returns:
        The number of images; 0 where nothing was written.
    """
    if not has_features(network) or _weight_bytes(network) > MOST_BYTES:
        return 0
    samples = data.split(split)
    indices = np.unique(np.linspace(0, len(samples) - 1, NUM_IMAGES).astype(np.int64))
    dataset = ImageDataset(samples, preprocess=data.preprocess)
    device = next(network.parameters()).device
    was_training = network.training
    network.eval()
    batches = ReadableBatches(dataset, indices.tolist(), size=_BATCH, max_pixels=_MOST_PIXELS)
    features: list[NDArray[np.float32]] = []
    sprites: list[UInt8Array] = []
    for images in batches:
        features.append(infer(network, [images], device=device, with_features=True).features)
        sprites += [_sprite(image) for image in images]
    network.train(was_training)
    if rows := batches.read:
        columns = _columns(predictions, [samples.names[row] for row in rows])
        with redirect_stdout(None):  # a second evaluation of a run replaces the first, which prints a warning
            writer.add_embedding(
                np.round(np.concatenate(features).astype(np.float64), 5),  # float64: 0.123, not 0.12299999
                metadata=[list(row) for row in zip(*columns.values(), strict=True)],
                metadata_header=list(columns),
                label_img=torch.from_numpy(np.stack(sprites)).permute(0, 3, 1, 2) / 255,
                tag=tag,
            )
    return len(rows)


def _weight_bytes(network: nn.Module) -> int:
    return sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())


def _sprite(image: UInt8Array) -> UInt8Array:
    import cv2

    interpolation = cv2.INTER_AREA if min(image.shape[:2]) > SPRITE_PX else cv2.INTER_NEAREST
    return np.asarray(
        cv2.resize(np.ascontiguousarray(image), (SPRITE_PX, SPRITE_PX), interpolation=interpolation), dtype=np.uint8
    )


def _columns(predictions: Predictions, names: list[str]) -> dict[str, list[str]]:
    """Return the columns by which the projector can colour and search the points."""
    by_name = {name: row for row, name in enumerate(predictions.names)}
    rows = [by_name[name] for name in names]
    labels, predicted = predictions.labels[rows], predictions.predicted[rows]
    is_correct = labels == predicted if labels.ndim == 1 else (labels == predicted).all(axis=1)
    return {
        "label": [_named(predictions, label) for label in labels],
        "prediction": [_named(predictions, label) for label in predicted],
        "correct": ["yes" if correct else "no" for correct in is_correct],
        "confidence": [f"{value:.4f}" for value in predictions.probabilities[rows].max(axis=1)],
        "path": [printable(name) for name in names],  # escapes tabs and line ends
    }


def _named(predictions: Predictions, label: NDArray[np.int64]) -> str:
    indices = np.flatnonzero(label) if label.ndim else [int(label)]
    return ", ".join(printable(predictions.class_names[int(index)]) for index in indices)
