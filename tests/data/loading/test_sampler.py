"""The order of samples is a function of (seed, epoch) and nothing else."""

import itertools

import pytest

from imgrec.data.loading.sampler import EvalBatchSampler, KeyedBatchSampler


def epoch_of(sampler: KeyedBatchSampler, epoch: int) -> list[list[tuple[int, int]]]:
    sampler.set_epoch(epoch)
    return list(sampler)


def indices(batches: list[list[tuple[int, int]]]) -> list[int]:
    return [index for batch in batches for index, _ in batch]


@pytest.mark.parametrize(
    ("num_samples", "batch_size", "world_size"), [(10, 3, 1), (1257, 64, 1), (101, 8, 3), (5, 8, 2)]
)
def test_every_sample_comes_once_per_epoch_over_all_ranks(num_samples: int, batch_size: int, world_size: int) -> None:
    samplers = [
        KeyedBatchSampler(num_samples, batch_size=batch_size, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    seen = [index for sampler in samplers for batch in epoch_of(sampler, 3) for index, _ in batch]
    assert sorted(seen) == list(range(num_samples))


def test_batches_differ_in_size_by_at_most_one_and_never_exceed_the_batch_size() -> None:
    sizes = {len(batch) for batch in KeyedBatchSampler(1257, batch_size=64)}
    assert max(sizes) <= 64
    assert max(sizes) - min(sizes) <= 1


def test_every_rank_has_the_same_number_of_batches() -> None:
    lengths = {len(list(KeyedBatchSampler(101, batch_size=8, rank=rank, world_size=3))) for rank in range(3)}
    assert lengths == {len(KeyedBatchSampler(101, batch_size=8, world_size=3))}


def test_same_seed_same_order_other_seed_or_epoch_another() -> None:
    first, again, other = (KeyedBatchSampler(50, batch_size=7, seed=seed) for seed in (1, 1, 2))
    assert epoch_of(first, 4) == epoch_of(again, 4)
    assert epoch_of(first, 4) != epoch_of(other, 4)
    assert indices(epoch_of(first, 4)) != indices(epoch_of(first, 5))


def test_the_keys_carry_the_epoch() -> None:
    assert {epoch for batch in epoch_of(KeyedBatchSampler(9, batch_size=2), 6) for _, epoch in batch} == {6}


@pytest.mark.parametrize("start", [0, 1, 5, 7, 8])
def test_an_epoch_can_be_entered_at_any_batch(start: int) -> None:
    whole = epoch_of(KeyedBatchSampler(50, batch_size=7), 2)
    sampler = KeyedBatchSampler(50, batch_size=7)
    sampler.start_at(2, start)
    sampler.set_epoch(2)  # Lightning names the epoch again before it begins
    assert list(sampler) == whole[start:]
    assert len(sampler) == len(whole)


def test_the_epoch_after_a_resumed_one_starts_at_its_beginning() -> None:
    sampler = KeyedBatchSampler(50, batch_size=7)
    sampler.start_at(2, 5)
    assert epoch_of(sampler, 3) == epoch_of(KeyedBatchSampler(50, batch_size=7), 3)


def test_evaluation_counts_every_sample_once_on_an_odd_number_and_two_ranks() -> None:
    ranks = [list(EvalBatchSampler(7, batch_size=2, rank=rank, world_size=2)) for rank in range(2)]
    seen = [index for index, _ in itertools.chain.from_iterable(itertools.chain.from_iterable(ranks))]
    assert sorted(seen) == list(range(7))
    assert [len(batches) for batches in ranks] == [2, 2]


def test_evaluation_keeps_the_order_of_the_data() -> None:
    assert list(EvalBatchSampler(5, batch_size=2)) == [[(0, 0), (1, 0)], [(2, 0), (3, 0)], [(4, 0)]]
