"""Groups in more than one split, and groups in file names that a random split would leak."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from imgrec.auditing.dataset_checks.group_patterns import GroupPattern, candidate_patterns, file_keys
from imgrec.auditing.dataset_checks.likeness import FloatArray, nearest_of_class, standardized
from imgrec.auditing.scan.facts import FactsTable

__all__ = ["CrossingGroup", "LeakingGroups", "Pair", "crossing_groups", "leaking_groups"]

TEST_SHARE = 0.2  # of the random split that leaks are estimated for
MIN_LIFT = 0.2  # of nearest images that are of the same group beyond chance, as a share of what is possible
MIN_Z = 5.0  # standard errors of that above 0, as a dozen patterns are tried
MIN_MATES = 0.5  # of images have another one of their group and class
MAX_CHANCE = 0.95  # a group with nearly all images of its class tells nothing
MIN_SHARED = 5  # names in two classes that are needed to call them unrelated

IntArray = NDArray[np.int64]


class Pair(Protocol):
    """Two rows of near-duplicates."""

    @property
    def first(self) -> int:
        """A row of the facts."""
        ...

    @property
    def second(self) -> int:
        """Another row."""
        ...


@dataclass(frozen=True)
class CrossingGroup:
    """A group of the data with images in more than one split. rows: all its images."""

    group: str
    counts: dict[str, int]
    rows: tuple[int, ...]
    text: str
    severity: Literal["error"] = "error"


@dataclass(frozen=True)
class LeakingGroups:
    """A pattern of file names whose groups are scenes, tracks or origins, so that a random split would leak.

    Attributes:
        pattern: For `data.group_pattern`.
        num_groups: How many groups it finds.
        examples: Names of some groups.
        same_group: Share of images whose most similar image of the class is in the same group.
        chance: The same share if similarity did not depend on groups.
        num_pairs: Near-duplicates among the images that would be split.
        leaking_before: Of these, how many are expected to leak in a random 80/20 split.
        leaking_after: The same for a split by these groups.
        rows: Images of one group, as an example.
    """

    pattern: str
    num_groups: int
    examples: tuple[str, ...]
    same_group: float
    chance: float
    num_pairs: int
    leaking_before: float
    leaking_after: float
    rows: tuple[int, ...]
    text: str
    severity: Literal["warning"] = "warning"


def crossing_groups(facts: FactsTable) -> list[CrossingGroup]:
    """Return the groups of `facts.group` with images in two splits or more, the largest first."""
    rows_of: dict[str, list[int]] = {}
    for row, group in enumerate(facts.group or []):
        if group:
            rows_of.setdefault(group, []).append(row)
    found = []
    for group, rows in rows_of.items():
        splits = [facts.split[row] for row in rows]
        counts = {split: splits.count(split) for split in dict.fromkeys(splits)}
        if len(counts) > 1:
            listing = ", ".join(f"{number} in {split}" for split, number in counts.items())
            found.append(CrossingGroup(group, counts, tuple(rows), f"group {group}: {listing}"))
    return sorted(found, key=lambda one: (-len(one.rows), one.group))


def leaking_groups(facts: FactsTable, pairs: Sequence[Pair], *, seed: int = 1) -> list[LeakingGroups]:
    """Return the pattern of file names, if any, whose groups are most clearly similar within a class.

    For each usable image (at most 2000 per class and 20000 in all) the most similar one of its class is found, by the
    correlation of thumbnails. A pattern is proposed if this neighbour is in the same group more often than by chance:
    by at least 20 % of the difference between chance and 100 %, and by 5 standard errors. It has to find a group for
    every training image. If the data has groups of its own, nothing is proposed.
    """
    if facts.group is not None:
        return []
    keys = file_keys(facts)
    sample, nearest = nearest_of_class(facts, keys, seed=seed)
    if len(sample) == 0:
        return []
    thumbnails = standardized(facts, sample)
    best: tuple[float, _Support, GroupPattern] | None = None
    for pattern in candidate_patterns(facts, keys):
        support = _support(pattern, facts.label, sample, nearest)
        if support is not None and (best is None or support.lift > best[0] + 1e-9):
            best = (support.lift, support, pattern)
    if best is None:
        return []
    _, support, pattern = best
    if pattern.num_shared >= MIN_SHARED and not _alike_across_classes(
        pattern, facts.label, sample, thumbnails, seed=seed
    ):
        pattern = pattern.within_classes()
    return [_proposal(facts, pattern, support, pairs, sample, nearest)]


# Evidence


@dataclass(frozen=True)
class _Support:
    same: float
    chance: float

    @property
    def lift(self) -> float:
        return (self.same - self.chance) / (1 - self.chance)


def _support(pattern: GroupPattern, labels: IntArray, sample: IntArray, nearest: IntArray) -> _Support | None:
    """Return how often the nearest image is in the same group; None if that is not more often than by chance."""
    known = (pattern.group[sample] >= 0) & (pattern.group[nearest] >= 0)
    rows, neighbours = sample[known], nearest[known]
    if len(rows) == 0:
        return None
    in_class = np.unique(labels[rows], return_inverse=True)[1]
    _, cell, mates = np.unique(
        in_class * (int(pattern.group.max()) + 1) + pattern.group[rows], return_inverse=True, return_counts=True
    )
    of_class = np.bincount(in_class)[in_class]
    chances = (mates[cell] - 1) / np.maximum(of_class - 1, 1)
    same, chance = float((pattern.group[rows] == pattern.group[neighbours]).mean()), float(chances.mean())
    if chance > MAX_CHANCE or (mates[cell] > 1).mean() < MIN_MATES:
        return None
    error = np.sqrt(max((chances * (1 - chances)).sum(), 1e-9)) / len(rows)
    support = _Support(same, chance)
    return support if support.lift >= MIN_LIFT and same - chance >= MIN_Z * error else None


def _alike_across_classes(
    pattern: GroupPattern, labels: IntArray, sample: IntArray, thumbnails: FloatArray, *, seed: int
) -> bool:
    """Return whether images of one group name in different classes are more similar than those of different names.

    If so, a name means the same in every class (a patient); if not, each class has its own (tracks 1, 2, 3 of a sign).
    """
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, len(sample), (2, 200_000))
    other_class = labels[sample[first]] != labels[sample[second]]
    name = pattern.group[sample[first]]
    same_name = name == pattern.group[sample[second]]
    alike, others = np.flatnonzero(other_class & same_name)[:20_000], np.flatnonzero(other_class & ~same_name)[:5000]
    names, of_name = np.unique(name[alike], return_inverse=True)
    if len(names) < MIN_SHARED:
        return True  # groups that are too large do no harm, groups that are too small leak
    usual = float(_correlation(thumbnails, first[others], second[others]).mean())
    # A name counts once, as its images are of one scene or of a few.
    means = np.bincount(of_name, weights=_correlation(thumbnails, first[alike], second[alike])) / np.bincount(of_name)
    error = float(means.std(ddof=1)) / np.sqrt(len(means))
    return bool(means.mean() - usual > 3 * max(error, 1e-6))


def _correlation(thumbnails: FloatArray, first: IntArray, second: IntArray) -> FloatArray:
    return np.asarray(np.einsum("nd,nd->n", thumbnails[first], thumbnails[second]), dtype=np.float32)


def _proposal(
    facts: FactsTable,
    pattern: GroupPattern,
    support: _Support,
    pairs: Sequence[Pair],
    sample: IntArray,
    nearest: IntArray,
) -> LeakingGroups:
    group = pattern.group
    # Only images that would be split: those of a given test split stay there.
    pairs = [pair for pair in pairs if {facts.split[pair.first], facts.split[pair.second]} <= {"train", "all"}]
    apart = sum(1 for pair in pairs if group[pair.first] != group[pair.second])
    leak_rate = 2 * TEST_SHARE * (1 - TEST_SHARE)  # probability that exactly one of two images is drawn
    together = group[sample] == group[nearest]
    shown = int(sample[together][0])
    mates = np.flatnonzero((group == group[shown]) & (facts.label == facts.label[shown]))[:4]
    text = (
        f"data.group_pattern='{pattern.pattern}' finds {pattern.num_groups} groups. The most similar image of the "
        f"class is in the same group for {support.same:.0%} of the images ({support.chance:.0%} by chance)."
    )
    if pairs:
        text += (
            f" A random split would leak about {leak_rate * len(pairs):.0f} of {len(pairs)} pairs of near-duplicates, "
            f"a split by these groups about {leak_rate * apart:.0f}."
        )
    return LeakingGroups(
        pattern=pattern.pattern,
        num_groups=pattern.num_groups,
        examples=pattern.examples,
        same_group=support.same,
        chance=support.chance,
        num_pairs=len(pairs),
        leaking_before=leak_rate * len(pairs),
        leaking_after=leak_rate * apart,
        rows=tuple(int(row) for row in mates),
        text=text,
    )
