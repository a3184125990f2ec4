"""A stratified sample of images: each class keeps its share."""

import numpy as np
from numpy.typing import NDArray

from imgrec.core.keyed_random import shuffled

__all__ = ["stratified_sample"]


def stratified_sample(
    labels: NDArray[np.int64] | NDArray[np.uint8], num_images: int | None, *, seed: int
) -> NDArray[np.int64]:
    """Draw images so that each class keeps its share, rounded up or down.

    A larger sample with the same seed contains almost all of a smaller one.

    Args:
        labels: int64 (N,); or uint8 (N, C), several labels per image, which are not stratified.
        num_images: Size of the sample; None for all.
        seed: Of the draw.

    Returns:
        Sorted indices into `labels`.
    """
    if num_images is None or num_images >= len(labels):
        return np.arange(len(labels))
    order = shuffled(len(labels), seed)
    if labels.ndim == 2:
        return np.sort(order[:num_images])
    # Each image's place among those of its class, as a share of it; the smallest shares are taken, so all alike.
    counts = np.bincount(labels)
    place = np.empty(len(labels))
    for label in np.flatnonzero(counts):
        mine = order[labels[order] == label]
        place[mine] = (np.arange(len(mine)) + 0.5) / len(mine)
    return np.sort(order[np.argsort(place[order], kind="stable")[:num_images]])
