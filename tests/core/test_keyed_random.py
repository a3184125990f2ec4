"""imgrec.core.keyed_random: the numbers of a key, pinned, as stored splits and published results depend on them."""

import random

import numpy as np
import pytest

from imgrec.core.keyed_random import KeyedGenerators, generator, lasting_order, library_seed, shuffled


def test_the_numbers_of_a_key_never_change():
    assert shuffled(8, 3).tolist() == [6, 7, 2, 1, 4, 5, 3, 0]
    assert shuffled(8, 3, 5).tolist() == [4, 0, 2, 6, 5, 1, 3, 7]
    assert generator(1, 2, 3).integers(0, 1000, 4).tolist() == [964, 670, 872, 111]
    assert lasting_order(8, 1).tolist() == [2, 4, 7, 5, 0, 6, 3, 1]
    assert library_seed(1, 0, 2) == 1142035774018912513
    assert library_seed(7) == 13291840845213164823


def test_the_generators_of_a_sample_give_the_numbers_that_they_always_gave():
    draws = KeyedGenerators()
    draws.start((1, 2, 3))
    assert draws.numpy.integers(0, 1000, 4).tolist() == [715, 707, 854, 277]
    assert draws.python.random() == 0.887698956237222


@pytest.mark.parametrize("seed", [0, 1, 2**33 + 5, 2**70])
def test_a_key_of_one_number_is_that_seed_of_numpy(seed):
    assert generator(seed).random() == np.random.default_rng(seed).random()
    items = np.arange(50) ** 2
    assert (items[shuffled(50, seed)] == np.random.default_rng(seed).permutation(items)).all()


def test_numbers_of_numpy_are_a_key_like_those_of_python():
    assert library_seed(np.int64(1), np.int64(2)) == library_seed(1, 2)  # type: ignore[arg-type]


@pytest.mark.parametrize("key", [(0, 0, 0), (1, 2, 3), (2**64 - 1, 5, 2**40)])
def test_a_key_starts_philox_at_its_own_counter(key: tuple[int, int, int]) -> None:
    draws = KeyedGenerators()
    draws.start(key)
    bits = np.random.Philox(
        key=np.array(key[:2], dtype=np.uint64), counter=np.array([0, 0, 0, key[2]], dtype=np.uint64)
    )
    python = random.Random(bits.random_raw())
    assert np.array_equal(draws.numpy.random(5), np.random.Generator(bits).random(5))
    assert draws.python.random() == python.random()


def test_a_stream_starts_again_whatever_was_drawn_before() -> None:
    draws = KeyedGenerators()

    def numbers() -> list[float]:
        draws.start((7, 8, 9))
        half = draws.numpy.integers(0, 10, dtype=np.uint32)  # leaves the other half in a buffer
        return [int(half), draws.numpy.normal(), draws.python.random(), draws.python.gauss(0, 1)]

    first = numbers()
    draws.start((7, 8, 10))
    draws.numpy.random(1001)
    draws.python.gauss(0, 1)
    assert numbers() == first


@pytest.mark.parametrize("part", [0, 1, 2])
def test_neighbouring_keys_give_independent_numbers(part: int) -> None:
    draws = KeyedGenerators()
    values = []
    for number in range(4000):
        key = [3, 3, 3]
        key[part] = number
        draws.start((key[0], key[1], key[2]))
        values.append((draws.numpy.random(), draws.python.random()))
    for column in np.array(values).T:
        assert abs(column.mean() - 0.5) < 4 * np.sqrt(1 / 12 / 4000)
        assert abs(np.corrcoef(column[1:], column[:-1])[0, 1]) < 4 / np.sqrt(4000)
        assert len(set(column)) == 4000
