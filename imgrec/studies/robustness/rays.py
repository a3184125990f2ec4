"""RayS, a black-box attack that uses predicted classes only. Chen and Gu 2020, arXiv:2006.12792.

Every value changes by the same amount, up or down, and the search is over the signs: the signs of blocks of values are
flipped, the blocks halving in size, and a flip is kept where a smaller amount then suffices to change the predicted
class. It needs no gradients, so masked gradients do not stop it. Images are float32 (N, 3, H, W) with values of 0 to 1.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from imgrec.studies.robustness.attack import Network, is_misclassified

__all__ = ["Rays", "rays"]

TOLERANCE = 1 / 256  # relative: where the binary search along a ray ends
FINEST = 1e-3  # gray values: and where it ends at the latest; float32 resolves 1e-5


@dataclass(frozen=True)
class Rays:
    """The result of the attack; each radius is an upper bound of the smallest one.

    Attributes:
        images: (N, 3, H, W), misclassified; unchanged where no such image was found.
        radius_255: float32 (N,), the largest change of any value, in gray values of 255: 0 where the image is
            misclassified without a change, infinite where nothing was found.
        num_queries: int64 (N,), forward passes per image.
    """

    images: Tensor
    radius_255: Tensor
    num_queries: Tensor


def rays(
    network: Network, images: Tensor, labels: Tensor, *, queries: int, enough_255: float = 0.0, rounded: bool = False
) -> Rays:
    """Search for the smallest change of all values that changes the predicted class.

    Deterministic, and independent of the other images in the batch.

    Args:
        network: Images (N, 3, H, W) of 0 to 255 to logits.
        images: Values of 0 to 1.
        labels: int64 (N,).
        queries: Forward passes per image at most.
        enough_255: The search ends for an image that is misclassified at this radius, in gray values.
        rounded: Whether only images with 8-bit values count; one query is reserved for that.
    """
    oracle = _Oracle(network, images, labels, queries=queries - rounded)
    directions = torch.ones_like(images).flatten(1)
    radius = torch.full((len(images),), torch.inf, device=images.device)
    radius[is_misclassified(network, images, labels)] = 0
    enough = max(1, math.floor(enough_255 + 1e-4)) if rounded else enough_255
    for first, last in _blocks(directions.shape[1]):
        rows = ((oracle.left > 0) & (radius > enough)).nonzero().flatten()
        if not len(rows):
            break
        flipped = directions[rows]
        flipped[:, first:last] *= -1
        reach = _search(oracle, rows, flipped, radius[rows], enough=enough)
        is_better = reach < radius[rows]
        radius[rows[is_better]] = reach[is_better]
        directions[rows[is_better]] = flipped[is_better]
    if rounded:
        radius = _to_whole(oracle, directions, radius)
    found, changed = radius.isfinite() & (radius > 0), images.clone()
    changed[found] = _changed(images[found], directions[found], radius[found], rounded=rounded)
    return Rays(changed, radius, oracle.queries - oracle.left)


def _blocks(size: int) -> Iterator[tuple[int, int]]:
    """Yield start and end of each block, endlessly: nothing, all, halves, quarters, ..."""
    yield 0, 0
    count = 1
    while True:
        yield from pairwise(size * place // count for place in range(count + 1))
        count = min(2 * count, size)


class _Oracle:
    """Runs the model on changed images and counts. left: int64 (N,), queries that each image has left."""

    def __init__(self, network: Network, images: Tensor, labels: Tensor, *, queries: int) -> None:
        self.network = network
        self.images = images
        self.labels = labels
        self.queries = queries
        self.left = torch.full((len(images),), queries, device=images.device)

    def is_broken(self, rows: Tensor, directions: Tensor, radius: Tensor, *, rounded: bool = False) -> Tensor:
        """Return whether the images `rows`, each changed along its direction, are misclassified."""
        self.left[rows] -= 1
        changed = _changed(self.images[rows], directions, radius, rounded=rounded)
        return is_misclassified(self.network, changed, self.labels[rows])


def _search(oracle: _Oracle, rows: Tensor, directions: Tensor, best: Tensor, *, enough: float) -> Tensor:
    """Return the smallest radius along each direction by binary search, infinite where `best` does not break the image.

    Most directions are no better than the best so far, and cost one query: the paper's fast check.
    """
    low, high = torch.zeros_like(best), best.clamp(max=255)
    is_broken = oracle.is_broken(rows, directions, high)
    while True:
        is_coarse = high - low > (TOLERANCE * high).clamp(min=FINEST)
        some = (is_broken & is_coarse & (high > enough) & (oracle.left[rows] > 0)).nonzero().flatten()
        if not len(some):
            return torch.where(is_broken, high, torch.inf)
        middle = (low[some] + high[some]) / 2
        breaks = oracle.is_broken(rows[some], directions[some], middle)
        high[some] = torch.where(breaks, middle, high[some])
        low[some] = torch.where(breaks, low[some], middle)


def _to_whole(oracle: _Oracle, directions: Tensor, radius: Tensor) -> Tensor:
    """Return radii rounded up to whole gray values; infinite where the rounded image is classified correctly.

    The search itself is not in whole gray values: between 3 and 2 no flip would be seen to be better.
    """
    rows = (radius.isfinite() & (radius > 0)).nonzero().flatten()
    whole = radius.ceil()
    if len(rows):
        breaks = oracle.is_broken(rows, directions[rows], whole[rows], rounded=True)
        whole[rows] = torch.where(breaks, whole[rows], torch.inf)
    return whole


def _changed(images: Tensor, directions: Tensor, radius: Tensor, *, rounded: bool) -> Tensor:
    """Return images changed by `radius` gray values along their directions, clipped to 0 to 1."""
    change = (radius[:, None] * directions).view_as(images)
    if rounded:
        return ((images * 255).round() + change).clamp(0, 255) / 255
    return (images + change / 255).clamp(0, 1)
