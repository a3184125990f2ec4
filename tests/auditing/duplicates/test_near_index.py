"""The search for near hashes, against comparing each with each."""

from collections import Counter

import numpy as np
import pytest

from imgrec.auditing.duplicates.near_index import FULL_BUCKET, find_near, num_blocks


def found(queries, entries, radius):
    pairs = {}
    for matches in find_near(queries, entries, radius=radius):
        for query, entry, distance in zip(matches.query, matches.entry, matches.distance, strict=True):
            pairs[int(query), int(entry)] = int(distance)
    return pairs


def each_with_each(queries, entries, radius):
    distance = np.bitwise_count(queries[:, None] ^ entries[None])
    return {(int(a), int(b)): int(distance[a, b]) for a, b in zip(*np.nonzero(distance <= radius), strict=True)}


def near_hashes(count, copies, most, seed=0):
    """Return random hashes, and copies of the first of them with up to `most` bits changed."""
    random = np.random.default_rng(seed)
    hashes = random.integers(0, 1 << 64, count, dtype=np.uint64)
    changed = hashes[:copies].copy()
    for row in range(copies):
        for bit in random.permutation(64)[: random.integers(0, most + 1)]:
            changed[row] ^= np.uint64(1) << np.uint64(bit)
    return hashes, changed


@pytest.mark.parametrize("count", [1, 3, 50, 3000])
def test_nothing_within_the_guaranteed_distance_is_missed_and_nothing_is_made_up(count):
    radius = num_blocks(count) - 2
    entries, queries = near_hashes(count, min(count, 400), radius)
    assert found(queries, entries, radius) == each_with_each(queries, entries, radius)


def test_of_pairs_beyond_the_guaranteed_distance_most_are_found():
    entries, queries = near_hashes(20_000, 500, 10)
    wanted = {
        pair for pair, distance in each_with_each(queries, entries, 10).items() if distance > num_blocks(20_000) - 2
    }
    assert len(wanted) > 50
    assert len(wanted & found(queries, entries, 10).keys()) > 0.7 * len(wanted)


def test_more_hashes_take_longer_keys():
    assert [num_blocks(count) for count in (100, 1000, 10_000, 100_000, 1_000_000, 10_000_000)] == [12, 12, 10, 8, 7, 6]


def test_thousands_of_equal_hashes_are_not_all_compared_with_each_other():
    hashes = np.full(1500, 12345, np.uint64)
    compared = Counter()
    for matches in find_near(hashes, hashes, radius=8):
        compared.update(matches.query.tolist())
    tables = num_blocks(1500) * (num_blocks(1500) - 1) // 2
    assert max(compared.values()) <= tables * FULL_BUCKET
    assert min(compared.values()) >= FULL_BUCKET


def test_no_hashes_are_near_nothing():
    none, some = np.empty(0, np.uint64), np.arange(5, dtype=np.uint64)
    assert found(none, some, 8) == found(some, none, 8) == found(none, none, 8) == {}
