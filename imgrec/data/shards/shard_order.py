"""The order of training images in shards: a function of seed, epoch and rank that needs few shards at a time."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from imgrec.core.keyed_random import generator
from imgrec.data.loading.sampler import KeyedBatchSampler, SampleKey

__all__ = ["ShardBatchSampler"]

# Keys of independent random streams. None is 0: NumPy treats [seed, epoch] and [seed, epoch, 0] as equal.
_ORDER, _CUTS, _DRAWS = 1, 2, 3


class ShardBatchSampler(KeyedBatchSampler):
    """Shuffled batches for one rank that read from only `shuffle_shards` shards at a time.

    The shards are shuffled for each epoch, and their samples, in this order, are cut into equal lengths, one for each
    rank: at most world_size - 1 shards are shared by two ranks. A rank keeps `shuffle_shards` of its shards open: as
    one closes, the next opens. The position of a sample is drawn uniformly between the opening and the closing of its
    shard. Neighbours in a shard end up about `shuffle_shards` shards apart; with all shards open the shuffle is
    complete.

    The rest is as in `KeyedBatchSampler`: every sample once per epoch, batches of nearly equal size, as many on every
    rank, and an epoch can be resumed at any batch.

    Args:
        shards: Integers (N,), the shard of each sample.
        batch_size: Samples per batch and rank.
        shuffle_shards: Number of open shards.
        seed: Seed of the order.
        rank: Rank of this process.
        world_size: Number of processes.
        announce: Called with the number of a shard some time before the first batch that reads from it.
    """

    def __init__(
        self,
        shards: Sequence[int] | NDArray[np.integer],
        *,
        batch_size: int,
        shuffle_shards: int = 4,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        announce: Callable[[int], None] | None = None,
    ) -> None:
        super().__init__(len(shards), batch_size=batch_size, seed=seed, rank=rank, world_size=world_size)
        self.shards = np.asarray(shards)
        self.shuffle_shards = shuffle_shards
        self.announce = announce or _nobody_listens
        by_shard = np.argsort(self.shards, kind="stable")
        borders = np.flatnonzero(np.diff(self.shards[by_shard])) + 1
        self._members = np.split(by_shard, borders) if len(by_shard) else []

    def batches(self, epoch: int) -> list[NDArray[np.int64]]:
        """Return the sample indices of every batch of this rank in `epoch`."""
        pieces = self._pieces(epoch)
        samples = np.concatenate(pieces) if pieces else np.empty(0, dtype=np.int64)
        starts, ends = _open_times(len(pieces), self.shuffle_shards)
        place = np.repeat(np.arange(len(pieces)), [len(piece) for piece in pieces])
        draws = generator(self.seed, epoch, _DRAWS, self.rank).random(len(samples))
        times = starts[place] + draws * (ends - starts)[place]
        return np.array_split(samples[np.argsort(times, kind="stable")], len(self))

    def _pieces(self, epoch: int) -> list[NDArray[np.int64]]:
        """Return the samples of each shard of this rank, in the order of the shards; the first and last may be cut."""
        rng = generator(self.seed, epoch, _ORDER)
        order = rng.permutation(len(self._members))
        ends = np.cumsum([len(self._members[shard]) for shard in order])
        first, last = (self.num_samples * rank // self.world_size for rank in (self.rank, self.rank + 1))
        pieces = []
        for shard, end in zip(order, ends, strict=True):
            members = self._members[shard]
            start = end - len(members)
            if start < last and end > first:
                # Shuffled before the cut, or it would always separate the same samples.
                members = generator(self.seed, epoch, _CUTS, int(shard)).permutation(members)
                pieces.append(members[max(first - start, 0) : last - start])
        return pieces

    def __iter__(self) -> Iterator[list[SampleKey]]:
        epoch = self.epoch
        batches = self.batches(epoch)[self.first_batch :]
        for batch, openings in zip(batches, self._openings(batches), strict=True):
            for shard in openings:
                self.announce(shard)
            yield [(int(index), epoch) for index in batch]

    def _openings(self, batches: Sequence[NDArray[np.int64]]) -> Iterator[list[int]]:
        """Yield for each batch the shards to announce: those it opens, and the one that opens after them."""
        order = self.shards[np.concatenate(batches)] if batches else np.empty(0, dtype=np.int64)
        shards, firsts = np.unique(order, return_index=True)
        queue = shards[np.argsort(firsts)]
        num_opened = np.searchsorted(np.sort(firsts), np.cumsum([len(batch) for batch in batches]))
        announced = 0
        for opened in num_opened:
            yield [int(shard) for shard in queue[announced : opened + 1]]
            announced = min(int(opened) + 1, len(queue))


def _nobody_listens(shard: int) -> None:
    del shard


def _open_times(num_shards: int, num_open: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return when each of `num_shards` opens and closes, in units of shards; at most `num_open` are open at a time.

    The first `num_open` open together and the last close together, so that the ends of an epoch are mixed as well as
    its middle.
    """
    place = np.arange(num_shards)
    starts = np.maximum(place - num_open + 1, 0).astype(np.float64)
    ends = np.where(place >= num_shards - num_open, num_shards, place + 1).astype(np.float64)
    return starts, ends
