"""Exact duplicates (equal pixels) and near-duplicates (resized, compressed, mirrored, cropped, brightened copies)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.auditing.duplicates.align import align, compare, warps_of
from imgrec.auditing.duplicates.candidates import Candidates, find_candidates
from imgrec.auditing.duplicates.near_index import num_blocks
from imgrec.auditing.scan.facts import FactsTable
from imgrec.auditing.scan.hashes import CROPS, WHOLE
from imgrec.data.samples import UInt8Array
from imgrec.data.splits.groups import DisjointSets

__all__ = ["MIN_DETAIL", "NearPair", "duplicate_groups", "exact_groups", "near_pairs"]

# Measured on photographs, flowers and brain scans (benchmarks/near_duplicates.py): copies that were resized,
# compressed, mirrored, brightened and cropped by 5 % are at 0.77 and above, other pairs at 0.69 and below.
MIN_DETAIL = 0.75
MIN_WHOLE = 0.85
MIN_RADIUS, MAX_RADIUS = 8, 10  # bits of 64 in which the hashes of a candidate may differ; fewer in larger data
# Below (standard deviation, gray levels) a thumbnail is blank, and blank images all look alike.
MIN_CONTRAST = 4.0

# In data with thousands of look-alikes, only so many candidates per image are verified: the most similar without
# alignment, and the nearest by hash with alignment, which costs a hundred times as much.
MOST_COMPARED, MOST_ALIGNED = 16, 2
MAX_DUPLICATES = 100
_CHUNK = 512

_STILL = np.array([1, 0, 1, 0], np.float32)  # identity warp
_CROPPED = np.array([0.02, 0.5, 0.02, 0.5], np.float32)  # a larger warp is a crop: scale and pixels of the thumbnail

_BOXES = np.array([(0.0, 0.0, 1.0, 1.0) if view == WHOLE else CROPS.get(view, (0, 0, 1, 1)) for view in range(8)])


@dataclass(frozen=True)
class NearPair:
    """Two near-duplicates, as rows; `first` < `second`.

    Attributes:
        kind: "similar" (resized, compressed, brightened ...), "mirrored", "cropped" or "mirrored and cropped".
        distance: Bits of 64 in which the perceptual hashes differ.
        similarity: Correlation of the details of the aligned thumbnails, MIN_DETAIL to 1.
    """

    first: int
    second: int
    kind: str
    distance: int
    similarity: float


def exact_groups(facts: FactsTable) -> list[list[int]]:
    """Return the groups of two rows or more with equal pixels, in the order of the rows."""
    groups: dict[bytes, list[int]] = {}
    for row in np.flatnonzero(facts.is_usable).tolist():
        groups.setdefault(bytes(facts.pixel_hash[row]), []).append(row)
    return [group for group in groups.values() if len(group) > 1]


def near_pairs(facts: FactsTable, *, min_detail: float = MIN_DETAIL) -> list[NearPair]:
    """Return the pairs of near-duplicates, the most similar first.

    Exact duplicates are not among them; of equal images with the same split and label only the first is compared.
    Blank images have no near-duplicates.
    """
    rows = _rows_to_search(facts)
    radius = int(np.clip(num_blocks(2 * len(rows)), MIN_RADIUS, MAX_RADIUS))
    found = find_candidates(facts.hashes[rows], radius=radius)
    found = replace(found, moved=rows[found.moved], target=rows[found.target])
    found = found[facts.pixel_hash[found.moved] != facts.pixel_hash[found.target]]
    pairs = _verified(found, facts.thumbnail, min_detail)
    return sorted(pairs, key=lambda pair: (-pair.similarity, pair.distance, pair.first, pair.second))


def duplicate_groups(facts: FactsTable, pairs: Sequence[NearPair] | None = None) -> list[str]:
    """Return a name per row, equal for exact and near-duplicates: such images belong in one split.

    Duplicates of duplicates are joined, the most similar first, up to groups of MAX_DUPLICATES images (not counting
    exact duplicates): otherwise a chain of look-alikes would join a whole class.

    Args:
        facts: The images.
        pairs: Result of `near_pairs`; None: compute it.
    """
    sets = DisjointSets(len(facts))
    size = [1] * len(facts)
    for group in exact_groups(facts):
        for row in group[1:]:
            sets.join(group[0], row)
    for pair in near_pairs(facts) if pairs is None else pairs:
        first, second = sorted((sets.root(pair.first), sets.root(pair.second)))
        if first != second and size[first] + size[second] <= MAX_DUPLICATES:
            sets.join(first, second)
            size[first] += size[second]
    named = _names(facts)
    return [named[sets.root(row)] for row in range(len(facts))]


def _names(facts: FactsTable) -> list[str]:
    if len(set(facts.name)) == len(facts):
        return facts.name
    return [f"{split} {row} {name}" for row, (split, name) in enumerate(zip(facts.split, facts.name, strict=True))]


def _rows_to_search(facts: FactsTable) -> NDArray[np.int64]:
    seen: set[tuple[bytes, str, int]] = set()
    rows = []
    for row in np.flatnonzero(facts.is_usable).tolist():
        if facts.thumbnail[row].std() < MIN_CONTRAST:
            continue
        key = bytes(facts.pixel_hash[row]), facts.split[row], int(facts.label[row])
        if key not in seen:
            seen.add(key)
            rows.append(row)
    return np.array(rows, dtype=np.int64)


# Verification


def _verified(candidates: Candidates, thumbnails: UInt8Array, min_detail: float) -> Iterator[NearPair]:
    """Yield the candidates that are near-duplicates."""
    plain = np.flatnonzero(candidates.view == WHOLE)
    similarity = _whole(candidates[plain], thumbnails)
    plain, similarity = plain[similarity >= MIN_WHOLE], similarity[similarity >= MIN_WHOLE]
    plain = plain[_nearest(candidates[plain], -similarity, MOST_COMPARED)]
    is_found = np.zeros(len(candidates), bool)
    for chunk in _chunks(plain):
        still = np.tile(_STILL, (len(chunk), 1))
        yield from _accept(candidates, chunk, still, thumbnails, min_detail, is_found)
    rest = np.flatnonzero(~is_found)
    rest = rest[_nearest(candidates[rest], candidates.distance[rest], MOST_ALIGNED)]
    for chunk in _chunks(rest):
        moved, target = _thumbnails(candidates[chunk], thumbnails)
        warps = align(moved, target, warps_of(_BOXES[candidates.view[chunk]]))
        yield from _accept(candidates, chunk, warps, thumbnails, min_detail, is_found)


def _accept(
    candidates: Candidates,
    chunk: NDArray[np.int64],
    warps: NDArray[np.float32],
    thumbnails: UInt8Array,
    min_detail: float,
    is_found: NDArray[np.bool_],
) -> Iterator[NearPair]:
    of_chunk = candidates[chunk]
    found = compare(*_thumbnails(of_chunk, thumbnails), warps)
    is_duplicate = (found.whole >= MIN_WHOLE) & (found.detail >= min_detail)
    is_found[chunk] = is_duplicate
    is_cropped = np.any(np.abs(warps - _STILL) > _CROPPED, axis=1).tolist()
    for place in np.flatnonzero(is_duplicate).tolist():
        changes = ["mirrored"] * bool(of_chunk.is_mirrored[place]) + ["cropped"] * bool(is_cropped[place])
        first, second = sorted((int(of_chunk.moved[place]), int(of_chunk.target[place])))
        kind = " and ".join(changes) or "similar"
        yield NearPair(first, second, kind, int(of_chunk.distance[place]), min(float(found.detail[place]), 1.0))


def _thumbnails(candidates: Candidates, thumbnails: UInt8Array) -> tuple[UInt8Array, UInt8Array]:
    """Return the two thumbnails of each candidate, the second mirrored where the match is."""
    target = thumbnails[candidates.target]
    mirrored = candidates.is_mirrored
    target[mirrored] = target[mirrored][:, :, ::-1]
    return thumbnails[candidates.moved], target


def _whole(candidates: Candidates, thumbnails: UInt8Array) -> NDArray[np.float32]:
    """Return the correlation of the thumbnails of each candidate without alignment, float32 (M,)."""
    result = np.empty(len(candidates), np.float32)
    for chunk in _chunks(np.arange(len(candidates))):
        moved, target = (part.reshape(len(chunk), -1) for part in _thumbnails(candidates[chunk], thumbnails))
        a, b = moved - moved.mean(axis=1, keepdims=True), target - target.mean(axis=1, keepdims=True)
        length = np.sqrt(np.einsum("nk,nk->n", a, a) * np.einsum("nk,nk->n", b, b))
        result[chunk] = np.einsum("nk,nk->n", a, b) / length
    return result


def _nearest(candidates: Candidates, key: NDArray[Any], most: int) -> NDArray[np.bool_]:
    """Return which candidates are among the `most` with the lowest key for one of their two images."""
    order = np.lexsort((candidates.target, candidates.moved, key))
    chosen = np.zeros(len(candidates), bool)
    for rows in (candidates.moved, candidates.target):
        by_row = order[np.argsort(rows[order], kind="stable")]
        starts = np.flatnonzero(np.concatenate([[True], np.diff(rows[by_row]) != 0])) if len(by_row) else by_row
        rank = np.arange(len(by_row)) - np.repeat(starts, np.diff(np.concatenate([starts, [len(by_row)]])))
        chosen[by_row[rank < most]] = True
    return chosen


def _chunks(places: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    for start in range(0, len(places), _CHUNK):
        yield places[start : start + _CHUNK]
