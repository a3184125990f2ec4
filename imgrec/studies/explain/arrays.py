"""Types of this package: images, maps, and a model as a function from images to probabilities. No torch."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = ["FloatArray", "Predict", "UInt8Array", "in_batches"]

UInt8Array = NDArray[np.uint8]
FloatArray = NDArray[np.float64]

Predict = Callable[[UInt8Array], FloatArray]
"""Preprocessed images uint8 (N, H, W, 3) to probabilities (N, C): PyTorch, ONNX Runtime, or a formula in a test."""


def in_batches(images: Iterator[UInt8Array], *, predict: Predict, target: int, batch_size: int) -> FloatArray:
    """Return the probability of class `target` for each image (H, W, 3), with one batch in memory at a time."""
    scores: list[FloatArray] = []
    batch: list[UInt8Array] = []
    for image in images:
        batch.append(image)
        if len(batch) == batch_size:
            scores.append(predict(np.stack(batch))[:, target])
            batch = []
    if batch:
        scores.append(predict(np.stack(batch))[:, target])
    return np.concatenate(scores).astype(np.float64)
