"""Fewer images that stand for all: each class keeps its share."""

import numpy as np
from numpy.typing import NDArray

from imgrec.core.keyed_random import shuffled

__all__ = ["stratified_sample"]


def stratified_sample(
    labels: NDArray[np.int64] | NDArray[np.uint8], num_images: int | None, *, seed: int
) -> NDArray[np.int64]:
    """Return the places of `num_images` of N images, sorted; all where it is None or not fewer than there are.

    labels: int64 (N,): every class gets its share, rounded up or down. uint8 (N, C), several labels per image: drawn
    without regard to them. A larger sample of the same seed holds almost all of a smaller one.
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
