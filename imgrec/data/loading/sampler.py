"""Batch samplers whose order is a pure function of (seed, epoch), whatever the number of workers.

Because the order does not depend on the state of a generator, an epoch can be entered at any batch: so a stopped run
resumes bit for bit.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from imgrec.core.keyed_random import shuffled

# Index of an image, and the epoch that keys its augmentation.
SampleKey = tuple[int, int]


class KeyedBatchSampler(Sampler[list[SampleKey]]):
    """Shuffled batches of (sample index, epoch) for one rank.

    Every sample is read exactly once per epoch: N samples become `ceil(N / (batch_size * world_size))` batches on each
    rank whose sizes differ by at most one. No sample is dropped, none is repeated as padding, and no tiny last batch
    disturbs batch normalisation.

    `start_at` sets the position to start from; `set_epoch` (called by Lightning before each epoch) keeps it for its
    own epoch and starts every other epoch at its first batch.
    """

    def __init__(self, num_samples: int, *, batch_size: int, seed: int = 0, rank: int = 0, world_size: int = 1) -> None:
        self.num_samples = num_samples
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0
        self.first_batch = 0

    def __len__(self) -> int:
        """Return the batches of a whole epoch of this rank, also when this epoch is entered in the middle."""
        return -(-self.num_samples // (self.batch_size * self.world_size))

    def start_at(self, epoch: int, batch: int) -> None:
        """Make the next iteration begin at `batch` of `epoch`."""
        self.epoch, self.first_batch = epoch, batch

    def set_epoch(self, epoch: int) -> None:
        """Enter `epoch` at its first batch, unless `start_at` set another position in this epoch."""
        if epoch != self.epoch:
            self.start_at(epoch, 0)

    def batches(self, epoch: int) -> list[NDArray[np.int64]]:
        """Return the sample indices of every batch of this rank in `epoch`."""
        order = shuffled(self.num_samples, self.seed, epoch)
        return np.array_split(order, len(self) * self.world_size)[self.rank :: self.world_size]

    def __iter__(self) -> Iterator[list[SampleKey]]:
        epoch = self.epoch
        for batch in self.batches(epoch)[self.first_batch :]:
            yield [(int(index), epoch) for index in batch]


class EvalBatchSampler(Sampler[list[SampleKey]]):
    """Batches in the order of the dataset; with several ranks, rank r of W reads the samples r, r + W, r + 2W, ...

    Nothing is padded, so every sample counts once in the gathered result; the ranks may differ by one sample.
    """

    def __init__(self, num_samples: int, *, batch_size: int, rank: int = 0, world_size: int = 1) -> None:
        self.indices = range(rank, num_samples, world_size)
        self.batch_size = batch_size

    def __len__(self) -> int:
        return -(-len(self.indices) // self.batch_size)

    def __iter__(self) -> Iterator[list[SampleKey]]:
        for start in range(0, len(self.indices), self.batch_size):
            yield [(index, 0) for index in self.indices[start : start + self.batch_size]]
