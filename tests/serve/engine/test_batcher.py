"""Single images in, batches through the network."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor

import numpy as np
import pytest

from imgrec.data.samples import UInt8Array
from imgrec.serve.engine.batcher import Batcher
from imgrec.serve.http.refusals import Refusal


@pytest.fixture
def executor() -> Iterator[Executor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def image(value: int) -> UInt8Array:
    return np.full((2, 2, 3), value, dtype=np.uint8)


class Network:
    """Answers the mean of an image; told to, it waits, or fails on some."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.single_thread: list[bool] = []
        self.go = threading.Event()
        self.go.set()
        self.poison: set[int] = set()
        self.not_finite: set[int] = set()
        self.most: int | None = None  # more at once than there is memory for

    def __call__(self, images: UInt8Array, *, single_thread: bool) -> np.ndarray:
        self.sizes.append(len(images))
        self.single_thread.append(single_thread)
        assert self.go.wait(10)
        if self.most is not None and len(images) > self.most:
            raise MemoryError
        values = images[:, 0, 0, 0]
        if self.poison & set(values.tolist()):
            raise RuntimeError("a kernel failed")
        rows = np.stack([values, -values.astype(np.float32)], axis=1).astype(np.float32)
        rows[[int(value) in self.not_finite for value in values]] = np.nan
        return rows


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


async def outcomes(*work: Awaitable[np.ndarray]) -> list[float | str]:
    done = await asyncio.gather(*work, return_exceptions=True)
    return [str(one) if isinstance(one, BaseException) else float(one[0]) for one in done]


def make(network: Network, executor: Executor, max_batch: int = 32, workers: int = 1) -> Batcher:
    return Batcher(network, executor=executor, max_batch=max_batch, workers=workers)


def test_an_idle_network_starts_at_once_with_one_image(executor: Executor):
    network = Network()

    async def run() -> None:
        batcher = make(network, executor)
        assert (await batcher.submit(image(7)))[0] == 7

    asyncio.run(asyncio.wait_for(run(), 10))
    assert network.sizes == [1]


def test_images_that_come_while_it_works_go_together(executor: Executor):
    network = Network()

    async def run() -> None:
        batcher = make(network, executor, max_batch=8)
        network.go.clear()
        first = asyncio.ensure_future(batcher.submit(image(0)))
        await until(lambda: network.sizes == [1])
        rest = [asyncio.ensure_future(batcher.submit(image(value))) for value in range(1, 21)]
        await until(lambda: batcher.waiting == 20)
        network.go.set()
        assert await outcomes(first, *rest) == [float(value) for value in range(21)]

    asyncio.run(run())
    assert network.sizes == [1, 8, 8, 4]


def test_one_poisoned_image_of_32_fails_alone(executor: Executor):
    network = Network()
    network.poison = {13}

    async def run() -> None:
        batcher = make(network, executor)
        network.go.clear()
        first = asyncio.ensure_future(batcher.submit(image(200)))
        await until(lambda: network.sizes == [1])
        rest = [asyncio.ensure_future(batcher.submit(image(value))) for value in range(32)]
        await until(lambda: batcher.waiting == 32)
        network.go.set()
        assert await outcomes(first, *rest) == [200.0] + ["internal" if v == 13 else float(v) for v in range(32)]

    asyncio.run(run())
    assert network.sizes[:2] == [1, 32]


@pytest.mark.parametrize(("most", "expected"), [(1, [0.0, 1.0, 2.0]), (0, ["busy"] * 3)])
def test_without_memory_for_a_batch_images_run_alone_and_without_any_they_may_come_again(executor, most, expected):
    network = Network()
    network.most = most

    async def run() -> None:
        batcher = make(network, executor)
        assert await outcomes(*(batcher.submit(image(value)) for value in range(3))) == expected

    asyncio.run(run())


def test_one_response_that_is_not_finite_fails_alone(executor: Executor):
    network = Network()
    network.not_finite = {2}

    async def run() -> None:
        batcher = make(network, executor)
        got = await outcomes(*(batcher.submit(image(value)) for value in range(4)))
        assert got == [0.0, 1.0, "not_finite", 3.0]

    asyncio.run(run())
    assert network.sizes == [4]


def test_a_client_that_has_gone_takes_nobody_with_it(executor: Executor):
    network = Network()

    async def run() -> None:
        batcher = make(network, executor)
        network.go.clear()
        work = [asyncio.ensure_future(batcher.submit(image(value))) for value in range(3)]
        await until(lambda: network.sizes == [3])
        late = [asyncio.ensure_future(batcher.submit(image(value))) for value in range(3, 6)]
        await until(lambda: batcher.waiting == 3)
        for gone in (work[1], late[1]):
            gone.cancel()
        network.go.set()
        assert await outcomes(work[0], work[2], late[0], late[2]) == [0.0, 2.0, 3.0, 5.0]

    asyncio.run(run())
    assert network.sizes == [3, 2]


def test_workers_share_what_waits_and_work_side_by_side():
    network = Network()

    async def run(executor: Executor) -> None:
        batcher = make(network, executor, workers=2)
        network.go.clear()
        work = [asyncio.ensure_future(batcher.submit(image(value))) for value in range(7)]
        await until(lambda: network.sizes == [4, 2])  # half of seven, half of the rest; neither has ended
        work += [asyncio.ensure_future(batcher.submit(image(value))) for value in range(7, 11)]
        await until(lambda: batcher.waiting == 5)  # no third worker
        network.go.set()
        assert await outcomes(*work) == [float(value) for value in range(11)]

    with ThreadPoolExecutor(2) as executor:
        asyncio.run(run(executor))
    assert network.sizes[2] == 3


def test_only_an_image_that_is_alone_gets_all_threads_of_the_network():
    network = Network()

    async def run(executor: Executor) -> None:
        batcher = make(network, executor, workers=2)
        await batcher.submit(image(0))
        network.go.clear()
        first = asyncio.ensure_future(batcher.submit(image(1)))
        await until(lambda: network.sizes == [1, 1])
        second = asyncio.ensure_future(batcher.submit(image(2)))
        await until(lambda: network.sizes == [1, 1, 1])
        network.go.set()
        await asyncio.gather(first, second)

    with ThreadPoolExecutor(2) as executor:
        asyncio.run(run(executor))
    assert network.single_thread == [False, False, True]


def test_an_image_that_comes_just_as_a_worker_ends_is_not_forgotten(executor: Executor):
    network = Network()

    async def run() -> None:
        batcher = make(network, executor)
        for value in range(50):  # each is submitted in the very step in which the last one's response came
            assert (await batcher.submit(image(value)))[0] == value

    asyncio.run(asyncio.wait_for(run(), 10))


def test_draining_waits_for_all_that_was_taken_on(executor: Executor):
    network = Network()

    async def run() -> None:
        batcher = make(network, executor, max_batch=2)
        work = [asyncio.ensure_future(batcher.submit(image(value))) for value in range(7)]
        await asyncio.sleep(0)
        await batcher.drain()
        assert batcher.waiting == 0
        assert await outcomes(*work) == [float(value) for value in range(7)]

    asyncio.run(run())


def test_each_run_is_told(executor: Executor):
    told: list[int] = []

    async def run() -> None:
        batcher = Batcher(Network(), executor=executor, max_batch=4, workers=1, on_batch=lambda n, _: told.append(n))
        await asyncio.gather(*(batcher.submit(image(0)) for _ in range(6)))

    asyncio.run(run())
    assert told == [4, 2]


def test_an_error_of_the_network_says_nothing_about_it(executor: Executor):
    network = Network()
    network.poison = {1}

    async def run() -> None:
        with pytest.raises(Refusal) as caught:
            await make(network, executor).submit(image(1))
        assert "kernel" not in caught.value.message

    asyncio.run(run())
