"""Find hashes that differ in few bits without comparing all pairs.

Multi-index hashing (Norouzi, Punjani and Fleet 2012, "Fast Search in Hamming Space with Multi-Index Hashing"; in the
form of Manku, Jain and Das Sarma 2007, "Detecting Near-Duplicates for Web Crawling"): the 64 bits are cut into blocks.
Two hashes that differ in at most `blocks - 2` bits agree on at least two whole blocks, so for each pair of blocks only
hashes that agree on both are compared. More hashes get fewer and longer blocks, so that the number of chance matches
per hash stays the same and the work grows linearly.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = ["Matches", "find_near", "num_blocks"]

# In a larger bucket, a query is compared with this many of its hashes, the nearest by value. Only data with thousands
# of look-alikes has such buckets.
FULL_BUCKET = 256
CHUNK = 1 << 22  # comparisons at a time: bounds the memory


@dataclass(frozen=True)
class Matches:
    """Pairs of near hashes: positions in the two arrays, int64 (M,), and in how many bits they differ, uint8 (M,)."""

    query: NDArray[np.int64]
    entry: NDArray[np.int64]
    distance: NDArray[np.uint8]


def num_blocks(num_entries: int) -> int:
    """Return the number of blocks, such that two blocks have about as many bits as `num_entries`."""
    bits = max(1, num_entries).bit_length()
    return int(np.clip(144 // bits, 4, 12))


def find_near(queries: NDArray[np.uint64], entries: NDArray[np.uint64], *, radius: int) -> Iterator[Matches]:
    """Yield pairs of a query and an entry that differ in at most `radius` bits; a pair may be repeated.

    Pairs that differ in at most `num_blocks(len(entries)) - 2` bits are all found, unless a bucket is overfull; of the
    others, most are.
    """
    for bits in _block_pairs(num_blocks(len(entries))):
        yield from _join(queries, entries, bits, radius)


def _block_pairs(blocks: int) -> Iterator[list[tuple[int, int]]]:
    """Yield for each pair of blocks their (first bit, number of bits)."""
    edges = [64 * block // blocks for block in range(blocks + 1)]
    spans = [(low, high - low) for low, high in pairwise(edges)]
    for pair in combinations(spans, 2):
        yield list(pair)


def _join(
    queries: NDArray[np.uint64], entries: NDArray[np.uint64], bits: list[tuple[int, int]], radius: int
) -> Iterator[Matches]:
    num_bits = sum(width for _, width in bits)
    sorting, wanted = _sorting_key(entries, bits), _sorting_key(queries, bits)
    order = np.argsort(sorting)
    sorting = sorting[order]
    buckets = np.bincount((sorting >> np.uint64(64 - num_bits)).astype(np.int64), minlength=1 << num_bits)
    ends = np.cumsum(buckets)
    key = (wanted >> np.uint64(64 - num_bits)).astype(np.int64)
    first, last = _narrow(wanted, sorting, ends[key] - buckets[key], ends[key])
    for chosen in _chunks(last - first):
        query, place = _expand(chosen, first, last)
        entry = order[place]
        distance = np.bitwise_count(queries[query] ^ entries[entry])
        near = distance <= radius
        yield Matches(query[near], entry[near], distance[near])


def _sorting_key(hashes: NDArray[np.uint64], bits: list[tuple[int, int]]) -> NDArray[np.uint64]:
    """Return the chosen blocks of each hash as the highest bits, followed by its own highest bits.

    The lower bits matter in overfull buckets only: there a query is compared with the hashes that begin as it does.
    """
    key, num_bits = np.zeros(len(hashes), np.uint64), 0
    for first, width in bits:
        key = (key << np.uint64(width)) | ((hashes >> np.uint64(first)) & np.uint64((1 << width) - 1))
        num_bits += width
    return (key << np.uint64(64 - num_bits)) | (hashes >> np.uint64(num_bits))


def _narrow(
    wanted: NDArray[np.uint64], sorting: NDArray[np.uint64], first: NDArray[np.int64], last: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cut overfull buckets to the entries around each query's own sorting key."""
    full = np.flatnonzero(last - first > FULL_BUCKET)
    middle = np.searchsorted(sorting, wanted[full])
    first[full] = np.clip(middle - FULL_BUCKET // 2, first[full], last[full] - FULL_BUCKET)
    last[full] = first[full] + FULL_BUCKET
    return first, last


def _chunks(counts: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yield the queries that have candidates, in chunks of about CHUNK candidates."""
    queries = np.flatnonzero(counts)
    ends = np.cumsum(counts[queries])
    edges = np.searchsorted(ends, np.arange(CHUNK, (ends[-1] if len(ends) else 0) + CHUNK, CHUNK))
    yield from (part for part in np.split(queries, edges) if len(part))


def _expand(
    chosen: NDArray[np.int64], first: NDArray[np.int64], last: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each chosen query once for every entry from `first` up to `last`, and the entry."""
    counts = (last - first)[chosen]
    before = np.cumsum(counts) - counts
    return np.repeat(chosen, counts), np.arange(counts.sum()) - np.repeat(before - first[chosen], counts)
