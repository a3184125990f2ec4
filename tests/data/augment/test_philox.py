"""Random integers by key and counter: equal to the published test vectors, and every part of a key counts."""

import numpy as np
import pytest

from imgrec.data.augment.philox import UInt32Array, keyed_integers, philox4x32

# counter, key, result: kat_vectors of Random123 1.14, lines "philox4x32 10"
KNOWN = [
    ([0, 0, 0, 0], (0, 0), [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, (0xFFFFFFFF, 0xFFFFFFFF), [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        (0xA4093822, 0x299F31D0),
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


def one_block(counter: list[int], key: tuple[int, int]) -> list[int]:
    """Return Philox4x32-10 as the paper has it, in Python's unbounded integers."""
    drawn, keys = list(counter), list(key)
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * drawn[0], 1 << 32)
        high1, low1 = divmod(0xCD9E8D57 * drawn[2], 1 << 32)
        drawn = [high1 ^ drawn[1] ^ keys[0], low1, high0 ^ drawn[3] ^ keys[1], low0]
        keys = [(keys[0] + 0x9E3779B9) % (1 << 32), (keys[1] + 0xBB67AE85) % (1 << 32)]
    return drawn


@pytest.mark.parametrize(("counter", "key", "result"), KNOWN)
def test_it_gives_the_known_results(counter: list[int], key: tuple[int, int], result: list[int]) -> None:
    assert philox4x32(np.array(counter, dtype=np.uint32)[:, None], key)[:, 0].tolist() == result


def test_many_counters_at_once_give_what_each_gives_alone() -> None:
    counters = np.random.default_rng(1).integers(0, 1 << 32, (4, 200), dtype=np.uint32)
    expected = np.array([one_block(counter.tolist(), (7, 1 << 31)) for counter in counters.T]).T
    assert np.array_equal(philox4x32(counters, (7, 1 << 31)), expected)


def test_integers_are_laid_out_by_stream_number_and_sample() -> None:
    seed, epoch, indices = (5 << 32) + 6, 9, np.array([3, 1 << 40, 0], dtype=np.int64)
    drawn = keyed_integers(seed=seed, epoch=epoch, indices=indices, streams=2)
    assert drawn.shape == (2, 4, 3)
    assert drawn.dtype == np.uint32
    for stream in range(2):
        for place, index in enumerate(indices.tolist()):
            counter = [index % (1 << 32), index >> 32, epoch, stream]
            assert drawn[stream, :, place].tolist() == one_block(counter, (6, 5))


def test_seed_epoch_index_and_stream_each_change_every_integer() -> None:
    def drawn(seed: int = 1, epoch: int = 1, index: int = 1) -> UInt32Array:
        return keyed_integers(seed=seed, epoch=epoch, indices=np.array([index], dtype=np.int64), streams=2)[:, :, 0]

    blocks = [drawn(), drawn(seed=2), drawn(seed=1 + (1 << 32)), drawn(epoch=2), drawn(index=2), drawn(index=1 << 32)]
    every = np.concatenate(blocks)  # 12 blocks of 4 integers
    assert len(np.unique(every)) == every.size


def test_a_negative_seed_is_a_seed_of_its_own() -> None:
    indices = np.arange(5)
    negative, zero, one = (keyed_integers(seed=seed, epoch=0, indices=indices, streams=1) for seed in (-1, 0, 1))
    assert not (negative == one).any()
    assert not (negative == zero).any()


def test_no_samples_give_no_integers() -> None:
    assert keyed_integers(seed=1, epoch=0, indices=np.array([], dtype=np.int64), streams=3).shape == (3, 4, 0)
