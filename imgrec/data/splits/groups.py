"""Groups that must stay together, from several reasons at once: a patient, a video, images that are duplicates."""

from collections.abc import Sequence

__all__ = ["merge_groups"]


def merge_groups(*groupings: Sequence[str], called: Sequence[str]) -> list[str]:
    """Join groupings of N samples into the finest one that tears no group of any of them.

    groupings: a group name per sample each; a name means nothing outside its grouping.
    called: a name per sample, either a sample's own or that of its group in one of the groupings. A joined group gets
        the first in the alphabet of its samples' names.
    """
    parent = list(range(len(called)))
    for grouping in groupings:
        first: dict[str, int] = {}
        for sample, group in enumerate(grouping):
            _join(parent, first.setdefault(group, sample), sample)
    roots = [_root(parent, sample) for sample in range(len(called))]
    name_of: dict[int, str] = {}
    for root, name in zip(roots, called, strict=True):
        name_of[root] = min(name, name_of.get(root, name))
    return [name_of[root] for root in roots]


def _root(parent: list[int], sample: int) -> int:
    while parent[sample] != sample:
        parent[sample] = parent[parent[sample]]  # halve the way for whoever comes next
        sample = parent[sample]
    return sample


def _join(parent: list[int], one: int, other: int) -> None:
    one, other = _root(parent, one), _root(parent, other)
    parent[max(one, other)] = min(one, other)
