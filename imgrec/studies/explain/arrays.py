"""The types of this package: images, maps, and the network seen as a function of images. No torch."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = ["FloatArray", "Predict", "UInt8Array", "in_batches"]

UInt8Array = NDArray[np.uint8]
FloatArray = NDArray[np.float64]

# Images uint8 (N, H, W, 3), as the network sees them -> probabilities (N, C). A network of torch, a session of ONNX
# Runtime or a test's formula: what is built on it needs none of them.
Predict = Callable[[UInt8Array], FloatArray]


def in_batches(images: Iterator[UInt8Array], *, predict: Predict, target: int, batch_size: int) -> FloatArray:
    """Return the probability of class `target` for each image (H, W, 3), never holding more than a batch of them."""
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
