"""Random numbers that are a pure function of a key: the same in every process, in any order, with any other draws.

A key is one or more whole numbers, 0 or more, such as (seed, epoch, index of the sample). `generator` and `shuffled`
are NumPy's `default_rng`; `lasting_order` is for what is stored and must stay the same with every release of NumPy;
`library_seed` is for libraries that take a seed; `KeyedGenerators` for those that take generators and keep them.
"""

import hashlib
import random

import numpy as np
from numpy.typing import NDArray

__all__ = ["KeyedGenerators", "generator", "lasting_order", "library_seed", "shuffled"]

_64_BITS = 0xFFFF_FFFF_FFFF_FFFF


def generator(*key: int) -> np.random.Generator:
    """Return NumPy's default generator, seeded by the key."""
    return np.random.default_rng(key)


def shuffled(count: int, *key: int) -> NDArray[np.int64]:
    """Return 0 to `count` - 1 in random order, int64 (count,)."""
    return generator(*key).permutation(count)


def lasting_order(count: int, seed: int) -> NDArray[np.int64]:
    """Return 0 to `count` - 1 in random order, int64 (count,), the same with every release of NumPy.

    NumPy guarantees that the raw stream of PCG64 never changes; that of `Generator.permutation` may.
    """
    return np.argsort(np.random.PCG64(seed).random_raw(count), kind="stable").astype(np.int64)


def library_seed(*key: int) -> int:
    """Return a seed of 64 bits for a library that takes one; keys that differ a little give unrelated seeds."""
    text = repr(tuple(int(part) for part in key))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


class KeyedGenerators:
    """One NumPy and one Python generator, both set to the start of a key's own stream by `start`.

    Philox (Salmon et al. 2011) encrypts a counter under a key: (seed, epoch) is the key, the sample's index the highest
    64 bits of the counter. So no two samples share numbers before 2**192 blocks are drawn. `start` takes 6 us, half of
    what two new generators would take, and every transform keeps the generators it was given.

    Attributes:
        numpy: NumPy's generator.
        python: `random.Random`.
    """

    def __init__(self) -> None:
        self._bits = np.random.Philox(0)
        self._start = self._bits.state  # a copy; as fresh, with nothing buffered
        self.numpy = np.random.Generator(self._bits)
        self.python = random.Random(0)

    def start(self, key: tuple[int, int, int]) -> None:
        """Go to the beginning of the stream of (seed, epoch, index)."""
        seed, epoch, index = (int(part) & _64_BITS for part in key)
        self._start["state"]["key"][:] = seed, epoch
        self._start["state"]["counter"][:] = 0, 0, 0, index
        self._bits.state = self._start
        self.python.seed(self._bits.random_raw())
