"""Results that arrive in any order, sorted by index."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

__all__ = ["in_order"]

Result = TypeVar("Result")


def in_order(
    results: Iterable[tuple[int, Result]], *, size: Callable[[Result], int], most: int
) -> Iterator[tuple[int, Result]]:
    """Yield (index, result) by index: 0, 1, 2, ...

    Args:
        results: Pairs of index and result, in any order.
        size: Bytes of a result.
        most: Bytes of results that may wait for an earlier one. With more, they are yielded before it, so that one
            slow result cannot fill the memory.
    """
    waiting: dict[int, Result] = {}
    gone: set[int] = set()
    due = total = 0
    for index, result in results:
        waiting[index] = result
        total += size(result)
        while due in waiting or due in gone:
            gone.discard(due)
            if due in waiting:
                total -= size(waiting[due])
                yield due, waiting.pop(due)
            due += 1
        if total > most:
            gone.update(waiting)
            yield from sorted(waiting.items(), key=lambda item: item[0])
            waiting, total = {}, 0
