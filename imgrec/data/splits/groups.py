"""Groups of samples joined by several relations: same patient, same video, duplicates."""

from collections.abc import Sequence

__all__ = ["DisjointSets", "merge_groups"]


class DisjointSets:
    """Union-find on 0 to n - 1; the root of a set is its smallest member."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def root(self, member: int) -> int:
        """Return the smallest member of the set that `member` is in."""
        parent = self._parent
        while parent[member] != member:
            parent[member] = parent[parent[member]]  # path halving
            member = parent[member]
        return member

    def join(self, one: int, other: int) -> None:
        """Merge the sets of two members."""
        one, other = self.root(one), self.root(other)
        self._parent[max(one, other)] = min(one, other)


def merge_groups(*groupings: Sequence[str], called: Sequence[str]) -> list[str]:
    """Return the finest grouping of N samples that keeps together every group of all groupings.

    Args:
        groupings: Each a group name per sample; names have no meaning across groupings.
        called: A name per sample. A merged group gets the alphabetically first name of its samples.
    """
    sets = DisjointSets(len(called))
    for grouping in groupings:
        first: dict[str, int] = {}
        for sample, group in enumerate(grouping):
            sets.join(first.setdefault(group, sample), sample)
    roots = [sets.root(sample) for sample in range(len(called))]
    name_of: dict[int, str] = {}
    for root, name in zip(roots, called, strict=True):
        name_of[root] = min(name, name_of.get(root, name))
    return [name_of[root] for root in roots]
