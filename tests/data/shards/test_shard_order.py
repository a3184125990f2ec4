"""The order of training on shards."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgrec.data.loading.sampler import KeyedBatchSampler
from imgrec.data.shards.shard_order import ShardBatchSampler

SHARDS = np.repeat(np.arange(12), 20)


def sampler(shards=SHARDS, **options):
    return ShardBatchSampler(shards, **({"batch_size": 8} | options))


def order(one, epoch=0):
    return np.concatenate(one.batches(epoch))


def most_open(one, epoch=0):
    """Return the largest number of shards that have samples both before and after some place of the order."""
    row = one.shards[order(one, epoch)]
    spans = [np.flatnonzero(row == shard)[[0, -1]] for shard in np.unique(row)]
    return max(sum(first <= place <= last for first, last in spans) for place in range(len(row)))


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=15),
    batch_size=st.integers(1, 9),
    world_size=st.integers(1, 4),
    window=st.integers(1, 6),
    epoch=st.integers(0, 3),
)
def test_every_sample_comes_once_in_as_many_batches_on_every_rank(sizes, batch_size, world_size, window, epoch):
    shards = np.repeat(np.arange(len(sizes)), sizes)
    ranks = [
        sampler(shards, batch_size=batch_size, shuffle_shards=window, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    batches = [one.batches(epoch) for one in ranks]
    assert sorted(np.concatenate([np.concatenate(of_rank) for of_rank in batches])) == list(range(len(shards)))
    assert {len(of_rank) for of_rank in batches} == {len(KeyedBatchSampler(
        len(shards), batch_size=batch_size, world_size=world_size))}  # fmt: skip
    lengths = [len(batch) for of_rank in batches for batch in of_rank]
    assert max(lengths) <= batch_size
    assert max(lengths) - min(lengths) <= 1


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=15),
    window=st.integers(1, 6),
    seed=st.integers(0, 99),
)
def test_no_more_shards_are_open_than_asked_for(sizes, window, seed):
    shards = np.repeat(np.arange(len(sizes)), sizes)
    assert most_open(sampler(shards, shuffle_shards=window, seed=seed)) <= window


def test_as_many_shards_are_open_as_asked_for():
    assert most_open(sampler(shuffle_shards=3)) == 3


def test_one_open_shard_gives_shard_after_shard_each_shuffled():
    row = order(sampler(shuffle_shards=1))
    assert np.count_nonzero(np.diff(row // 20)) == 11
    assert not np.array_equal(row[:20], np.sort(row[:20]))


def test_two_ranks_read_different_shards():
    one, two = (set(SHARDS[order(sampler(rank=rank, world_size=2))]) for rank in (0, 1))
    assert len(one) == len(two) == 6
    assert not one & two


def test_ranks_share_no_more_shards_than_there_are_cuts():
    sizes = np.random.default_rng(0).integers(5, 40, 30)
    shards = np.repeat(np.arange(30), sizes)
    seen = [set(shards[order(sampler(shards, rank=rank, world_size=4))]) for rank in range(4)]
    assert sum(len(of_rank) for of_rank in seen) <= 30 + 3


def test_every_epoch_and_every_seed_has_its_own_order_and_the_same_one_each_time():
    orders = [order(sampler(seed=seed), epoch) for seed in (0, 1) for epoch in (0, 1)]
    assert len({tuple(row) for row in orders}) == 4
    assert np.array_equal(orders[0], order(sampler(seed=0), 0))


def test_the_epoch_can_be_entered_at_every_batch():
    whole = sampler(seed=5)
    whole.start_at(2, 0)
    batches = list(whole)
    for first in range(len(batches) + 1):
        late = sampler(seed=5)
        late.start_at(2, first)
        assert list(late) == batches[first:]
        assert len(late) == len(batches)


def test_keys_carry_the_epoch():
    one = sampler()
    one.set_epoch(3)
    assert {epoch for batch in one for _, epoch in batch} == {3}


def test_samples_of_a_shard_are_spread_over_the_shards_that_are_open_with_it():
    """Every part of the epoch mixes several shards, its beginning and its end as well."""
    row = SHARDS[order(sampler(shuffle_shards=4, seed=3))]
    mixed = [len(set(row[start : start + 20])) for start in range(0, len(row), 20)]
    assert min(mixed) >= 3


def test_a_window_of_all_shards_is_a_complete_shuffle():
    """Each place gets each shard equally often: 12 shards over 300 epochs, 8 per shard and place of the first eight."""
    one = sampler(shuffle_shards=12)
    firsts = np.concatenate([SHARDS[one.batches(epoch)[0]] for epoch in range(300)])
    counts = np.bincount(firsts, minlength=12)
    assert counts.sum() == 2400
    assert np.all(abs(counts - 200) < 5 * np.sqrt(200))


def test_samples_may_lie_in_any_order_and_shards_may_have_any_numbers():
    shards = np.array([7, 3, 7, 900, 3, 7, 900, 3])
    assert sorted(order(sampler(shards, batch_size=3))) == list(range(8))


def test_a_choice_of_samples_leaves_the_rest_alone():
    assert sorted(order(sampler(SHARDS[5:9]))) == [0, 1, 2, 3]


# Announcements


@pytest.mark.parametrize("first", [0, 7])
def test_each_shard_is_announced_once_before_it_is_read_and_the_next_one_with_it(first):
    events: list[tuple[str, object]] = []
    one = sampler(shuffle_shards=3, announce=lambda shard: events.append(("announced", shard)))
    one.start_at(0, first)
    for batch in one:
        opens = {int(SHARDS[index]) for index, _ in batch}
        events.append(("batch", opens))
    announced: list[int] = []
    opened: set[int] = set()
    for kind, what in events:
        if kind == "announced":
            announced.append(what)
            continue
        opened |= what
        assert opened <= set(announced)
        assert len(announced) <= len(opened) + 1
    assert len(announced) == len(set(announced)) == len(opened)
