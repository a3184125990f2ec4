"""Candidate pairs of near-duplicates: images with similar perceptual hashes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imgrec.auditing.duplicates.near_index import find_near
from imgrec.auditing.scan.hashes import CROPS, MIRRORED, WHOLE

__all__ = ["Candidates", "find_candidates"]

# A cropped copy has nearly the hash of a crop of the original, so crops are looked up among whole and mirrored images.
_QUERIES = (WHOLE, *CROPS)
_ENTRIES = (WHOLE, MIRRORED)

# A pair and its kind of match are one integer, so that sorting puts the nearest match of each pair first: the pair,
# then distance (7 bits), view (3), mirrored (1), and whether the view is of the second image (1).
_CODE_BITS = 12
_MOST_WAITING = 1 << 22


@dataclass(frozen=True)
class Candidates:
    """M pairs, each once, ordered by row; all arrays (M,).

    Attributes:
        moved: Row whose view resembles `target`.
        target: Row that it resembles, or whose mirror image it resembles.
        view: uint8, column of the hashes: WHOLE or one of CROPS.
        is_mirrored: Whether it is the mirror image.
        distance: uint8, bits in which the two hashes differ.
    """

    moved: NDArray[np.int64]
    target: NDArray[np.int64]
    view: NDArray[np.uint8]
    is_mirrored: NDArray[np.bool_]
    distance: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.moved)

    def __getitem__(self, chosen: NDArray[np.int64] | NDArray[np.bool_]) -> "Candidates":
        return Candidates(*(column[chosen] for column in vars(self).values()))


def find_candidates(hashes: NDArray[np.uint64], *, radius: int) -> Candidates:
    """Return the pairs of rows of `hashes`, uint64 (N, NUM_HASHES), with views at most `radius` bits apart.

    Of several matches of two images, the nearest is kept; among equals, the simplest.
    """
    count = len(hashes)
    queries = np.concatenate([hashes[:, view] for view in _QUERIES])
    entries = np.concatenate([hashes[:, view] for view in _ENTRIES])
    best = np.empty(0, np.int64)
    waiting: list[NDArray[np.int64]] = []
    for matches in find_near(queries, entries, radius=radius):
        waiting.append(_pack(matches.query, matches.entry, matches.distance, count))
        if sum(map(len, waiting)) > _MOST_WAITING:
            best, waiting = _best_of_each(np.concatenate([best, *waiting])), []
    return _unpack(_best_of_each(np.concatenate([best, *waiting])), count)


def _pack(
    query: NDArray[np.int64], entry: NDArray[np.int64], distance: NDArray[np.uint8], count: int
) -> NDArray[np.int64]:
    moved, target = query % count, entry % count
    other = moved != target
    query, entry, moved, target = query[other], entry[other], moved[other], target[other]
    pair = np.minimum(moved, target) * count + np.maximum(moved, target)
    view = np.array(_QUERIES)[query // count]
    code = distance[other].astype(np.int64) << 5 | view << 2 | (entry // count) << 1 | (moved > target)
    packed: NDArray[np.int64] = pair << _CODE_BITS | code
    return packed


def _best_of_each(packed: NDArray[np.int64]) -> NDArray[np.int64]:
    packed = np.sort(packed)
    nearest: NDArray[np.int64] = packed[np.diff(packed >> _CODE_BITS, prepend=-1) != 0]
    return nearest


def _unpack(packed: NDArray[np.int64], count: int) -> Candidates:
    first, second = np.divmod(packed >> _CODE_BITS, max(count, 1))
    is_second = (packed & 1).astype(bool)
    return Candidates(
        moved=np.where(is_second, second, first),
        target=np.where(is_second, first, second),
        view=(packed >> 2 & 7).astype(np.uint8),
        is_mirrored=(packed >> 1 & 1).astype(bool),
        distance=(packed >> 5 & 127).astype(np.uint8),
    )
