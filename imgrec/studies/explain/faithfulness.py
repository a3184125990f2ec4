"""Faithfulness of a saliency map by deletion and insertion, compared with random orders. No torch.

Petsiuk, Das, Saenko 2018, "RISE", arXiv:1806.07421, section 4.2. Deletion removes the most important cells first: the
probability should fall early, so a small area under the curve is good. Insertion adds them first to a baseline: it
should rise early, so a large area is good. Both areas depend on the image and the baseline, so random orders are
measured on the same image.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgrec.studies.explain.arrays import FloatArray, Predict, UInt8Array, in_batches
from imgrec.studies.explain.cells import Cells, make_cells

__all__ = ["NUM_STEPS", "Curves", "Faithfulness", "compare", "map_order", "measure_orders", "random_orders"]

NUM_STEPS = 10  # points of a curve after the first

Order = NDArray[np.int64]


class Curves(NamedTuple):
    """The probability of the target against the share of masked pixels, for one order of cells.

    Attributes:
        fraction: Share of the pixels deleted, or inserted, 0 to 1, (S + 1,).
        deletion: Probabilities (S + 1,).
        insertion: Probabilities (S + 1,).
    """

    fraction: FloatArray
    deletion: FloatArray
    insertion: FloatArray

    @property
    def deletion_area(self) -> float:
        """The area under the deletion curve, 0 to 1, by trapezoids."""
        return float(np.trapezoid(self.deletion, self.fraction))

    @property
    def insertion_area(self) -> float:
        """The area under the insertion curve, 0 to 1, by trapezoids."""
        return float(np.trapezoid(self.insertion, self.fraction))


class Faithfulness(NamedTuple):
    """Areas under the curves of a map and of R random orders on the same image.

    `beats_deletion` and `beats_insertion`: better than every random order, which happens by chance once in R + 1 cases.
    """

    deletion_area: float
    insertion_area: float
    random_deletion_area: float
    random_insertion_area: float
    beats_deletion: bool
    beats_insertion: bool

    @property
    def deletion_gain(self) -> float:
        """Mean random area minus the area of the map; above 0 is better than random."""
        return self.random_deletion_area - self.deletion_area

    @property
    def insertion_gain(self) -> float:
        """Area of the map minus the mean random area; above 0 is better than random."""
        return self.insertion_area - self.random_insertion_area


def map_order(values: FloatArray, cells: Cells, *, seed: int = 0) -> Order:
    """Return the cells (K,) from the most to the least important by a map (H, W), ties in random order.

    Otherwise the zeros of a Grad-CAM map would be taken from the top left on, which is an order too.
    """
    means = cells.means(values)
    return np.lexsort((np.random.default_rng(seed).random(len(means)), -means))


def random_orders(cells: Cells, *, count: int, seed: int) -> list[Order]:
    """Return `count` orders of the cells, drawn by `seed`."""
    random = np.random.default_rng(seed)
    return [random.permutation(cells.number) for _ in range(count)]


def measure_orders(
    image: UInt8Array,
    orders: Sequence[Order],
    *,
    baseline: UInt8Array,
    predict: Predict,
    target: int,
    num_steps: int = NUM_STEPS,
    batch_size: int = 32,
) -> list[Curves]:
    """Return the curves of several orders of the cells of one image.

    Args:
        image: (H, W, 3).
        orders: Each a permutation of the cells.
        baseline: (H, W, 3), what deleted cells show.
        predict: The model. The whole image and the baseline are run once for all orders.
        target: Index of the class.
        num_steps: Points of a curve after the first.
        batch_size: Images per call of `predict`.
    """
    cells = make_cells(*image.shape[:2])
    counts = _counts(cells, num_steps)
    inner = counts[1:-1]
    images = _masked(image, baseline, orders=orders, counts=inner, cells=cells)
    scores = in_batches(images, predict=predict, target=target, batch_size=batch_size)
    whole, nothing = scores[:2]
    sizes = np.bincount(cells.numbers.ravel(), minlength=cells.number)
    curves = []
    for order, two in zip(orders, scores[2:].reshape(len(orders), 2, len(inner)), strict=True):
        fraction = np.concatenate([[0], np.cumsum(sizes[order])])[counts] / cells.numbers.size
        deletion, insertion = np.r_[whole, two[0], nothing], np.r_[nothing, two[1], whole]
        curves.append(Curves(fraction, deletion, insertion))
    return curves


def compare(curves: Curves, random: Sequence[Curves]) -> Faithfulness:
    """Compare the curves of a map with those of random orders on the same image."""
    deletions = [one.deletion_area for one in random]
    insertions = [one.insertion_area for one in random]
    return Faithfulness(
        deletion_area=curves.deletion_area,
        insertion_area=curves.insertion_area,
        random_deletion_area=float(np.mean(deletions)),
        random_insertion_area=float(np.mean(insertions)),
        beats_deletion=curves.deletion_area < min(deletions),
        beats_insertion=curves.insertion_area > max(insertions),
    )


def _counts(cells: Cells, num_steps: int) -> NDArray[np.int64]:
    """Return how many cells are masked at each point of a curve, from none to all."""
    return np.unique(np.linspace(0, cells.number, num_steps + 1).round().astype(np.int64))


def _masked(
    image: UInt8Array, baseline: UInt8Array, *, orders: Sequence[Order], counts: NDArray[np.int64], cells: Cells
) -> Iterator[UInt8Array]:
    """Yield the image, the baseline, then for each order all deletions and all insertions."""
    yield image
    yield baseline
    for order in orders:
        rank = np.empty(cells.number, dtype=np.int64)
        rank[order] = np.arange(cells.number)
        place = rank[cells.numbers][:, :, None]  # (H, W, 1): the rank of each pixel's cell
        for below, above in ((baseline, image), (image, baseline)):
            for count in counts:
                yield np.where(place < count, below, above)
