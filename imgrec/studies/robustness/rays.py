"""RayS: an attack that sees nothing of a network but the class that it names. Chen and Gu 2020, arXiv:2006.12792.

Every value moves up or down by the same amount, and only which of them go down is searched for: whole blocks of values
are turned around, of half the size each time, and a turn stays where the network is wrong at a smaller amount with it.
No gradient is asked for, so hiding gradients does not help against it. Images float32 (N, 3, H, W) of 0 to 1.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from imgrec.studies.robustness.attack import Network, is_wrong

__all__ = ["Rays", "rays"]

TOLERANCE = 1 / 256  # of the radius: where the search along a ray ends
FINEST = 1e-3  # gray values: nothing finer, float32 holds 1e-5


@dataclass(frozen=True)
class Rays:
    """What was found: images about which the network is wrong, so that each radius is an upper bound of the smallest.

    images: (N, 3, H, W); unchanged where nothing was found. num_queries: int64 (N,), images that the network was
    asked about. radius_255: float32 (N,), the largest change of any value, in gray values of 255: 0 where the network
    is wrong without one, infinite where nothing was found.
    """

    images: Tensor
    radius_255: Tensor
    num_queries: Tensor


def rays(
    network: Network, images: Tensor, labels: Tensor, *, queries: int, enough_255: float = 0.0, rounded: bool = False
) -> Rays:
    """Search for the smallest change of all values that makes the network name another class. Labels int64 (N,).

    queries: about each image at most. enough_255: an image that breaks at this radius is not looked at further.
    rounded: whether only images that 8 bits can hold count; one query is kept for that.
    No draws are made, and every image goes its own way: the same in any company.
    """
    asker = _Asker(network, images, labels, queries=queries - rounded)
    directions = torch.ones_like(images).flatten(1)
    radius = torch.full((len(images),), torch.inf, device=images.device)
    radius[is_wrong(network, images, labels)] = 0
    enough = max(1, math.floor(enough_255 + 1e-4)) if rounded else enough_255
    for first, last in _blocks(directions.shape[1]):
        rows = ((asker.left > 0) & (radius > enough)).nonzero().flatten()
        if not len(rows):
            break
        turned = directions[rows]
        turned[:, first:last] *= -1
        reach = _search(asker, rows, turned, radius[rows], enough=enough)
        is_better = reach < radius[rows]
        radius[rows[is_better]] = reach[is_better]
        directions[rows[is_better]] = turned[is_better]
    if rounded:
        radius = _to_whole(asker, directions, radius)
    found, changed = radius.isfinite() & (radius > 0), images.clone()
    changed[found] = _changed(images[found], directions[found], radius[found], rounded=rounded)
    return Rays(changed, radius, asker.queries - asker.left)


def _blocks(size: int) -> Iterator[tuple[int, int]]:
    """Yield the first value of each block and that after its last, for ever: nothing, all, halves, quarters, ..."""
    yield 0, 0
    count = 1
    while True:
        yield from pairwise(size * place // count for place in range(count + 1))
        count = min(2 * count, size)


class _Asker:
    """Asks about changed images. left: int64 (N,), how often it may still ask about each."""

    def __init__(self, network: Network, images: Tensor, labels: Tensor, *, queries: int) -> None:
        self.network = network
        self.images = images
        self.labels = labels
        self.queries = queries
        self.left = torch.full((len(images),), queries, device=images.device)

    def is_broken(self, rows: Tensor, directions: Tensor, radius: Tensor, *, rounded: bool = False) -> Tensor:
        """Return whether the network is wrong about the images `rows`, each changed along its direction."""
        self.left[rows] -= 1
        changed = _changed(self.images[rows], directions, radius, rounded=rounded)
        return is_wrong(self.network, changed, self.labels[rows])


def _search(asker: _Asker, rows: Tensor, directions: Tensor, best: Tensor, *, enough: float) -> Tensor:
    """Return the smallest radius found along each direction by halving, infinite where `best` does not break there.

    Most directions are no better than the best so far, and cost one query: the paper's fast check.
    """
    low, high = torch.zeros_like(best), best.clamp(max=255)
    is_broken = asker.is_broken(rows, directions, high)
    while True:
        is_coarse = high - low > (TOLERANCE * high).clamp(min=FINEST)
        some = (is_broken & is_coarse & (high > enough) & (asker.left[rows] > 0)).nonzero().flatten()
        if not len(some):
            return torch.where(is_broken, high, torch.inf)
        middle = (low[some] + high[some]) / 2
        breaks = asker.is_broken(rows[some], directions[some], middle)
        high[some] = torch.where(breaks, middle, high[some])
        low[some] = torch.where(breaks, low[some], middle)


def _to_whole(asker: _Asker, directions: Tensor, radius: Tensor) -> Tensor:
    """Return radii of whole gray values, next above; infinite where that image does not break.

    Not searched for from the start: along the way from 3 to 2 gray values no turn would be seen to be better.
    """
    rows = (radius.isfinite() & (radius > 0)).nonzero().flatten()
    whole = radius.ceil()
    if len(rows):
        breaks = asker.is_broken(rows, directions[rows], whole[rows], rounded=True)
        whole[rows] = torch.where(breaks, whole[rows], torch.inf)
    return whole


def _changed(images: Tensor, directions: Tensor, radius: Tensor, *, rounded: bool) -> Tensor:
    """Return images whose values have gone by `radius` gray values, up or down, as far as 0 and 1 let them."""
    change = (radius[:, None] * directions).view_as(images)
    if rounded:
        return ((images * 255).round() + change).clamp(0, 255) / 255
    return (images + change / 255).clamp(0, 1)
