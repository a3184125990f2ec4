"""Patterns of file names that may tell which images belong together, in the form of `data.group_pattern`."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imgrec.auditing.scan.facts import FactsTable

__all__ = ["GroupPattern", "candidate_patterns", "file_keys", "match_pattern"]

IntArray = NDArray[np.int64]

# The parentheses hold the name of the group. As in data.group_pattern, a pattern without "/" is searched in the file
# name, one with "/" in `class/.../file`.
_NAMES = (
    r"^([^_]+)_",  # 00042_frame7, GTI_image12, patient7_left
    r"^(.+)_[^_]+$",  # a_b_0001
    r"^([^-]+)-",
    r"^(.+)-[^-]+$",
    r"^([^ ]+) ",
    r"^(.+) [^ ]+$",
    r"^([^.]+)\..*\.",  # patient7.left.png
    r"^(\D+)\d",  # left12, right3
    r"^(\D*\d+)\D+\d",  # P07L2, video3frame18
)
_FOLDER = r"^[^/]+/([^/]+)/"  # class/patient/file
_FOLDER_PATH = r"^([^/]+/[^/]+)/"


@dataclass(frozen=True)
class GroupPattern:
    """A pattern and the groups that it finds in N file names.

    Attributes:
        group: int64 (N,), number of the group of each row; -1: none.
        examples: Names of up to three groups.
        num_shared: Number of names that occur in more than one class.
    """

    pattern: str
    keys: Sequence[str]
    group: IntArray
    num_groups: int
    examples: tuple[str, ...]
    num_shared: int

    def within_classes(self) -> "GroupPattern":
        """Return the pattern that makes the same name in two classes two groups."""
        if self.pattern == _FOLDER:
            return match_pattern(_FOLDER_PATH, self.keys)
        return match_pattern("^(.*/" + self.pattern.removeprefix("^("), self.keys)


def file_keys(facts: FactsTable) -> list[str]:
    """Return `class/.../file` of each row: the path from the folder with the name of the class.

    A file without such a folder (in a table) gets its class in front of its name.
    """
    keys = []
    for name, label in zip(facts.name, facts.label.tolist(), strict=True):
        parts = name.replace("\\", "/").split("/")
        of_class = facts.class_names[label] if label >= 0 else ""
        places = [place for place, part in enumerate(parts[:-1]) if part == of_class]
        keys.append("/".join(parts[places[0] :]) if places else f"{of_class}/{parts[-1]}")
    return keys


def candidate_patterns(facts: FactsTable, keys: Sequence[str]) -> Iterator[GroupPattern]:
    """Yield the patterns that find a group for every training image, and more than two groups in all."""
    required = np.array([split in ("train", "all") for split in facts.split], dtype=bool)
    seen = set()
    for pattern in (_FOLDER, *_NAMES):
        found = match_pattern(pattern, keys)
        if found.num_groups < 3 or (found.group[required] < 0).any() or not required.any():
            continue
        fingerprint = found.group.tobytes()
        if fingerprint not in seen:  # the same groups by a second pattern
            seen.add(fingerprint)
            yield found


def match_pattern(pattern: str, keys: Sequence[str]) -> GroupPattern:
    """Search a pattern in every key, as `data.group_pattern` does."""
    compiled = re.compile(pattern)
    texts = keys if "/" in pattern else [key.rpartition("/")[2] for key in keys]
    number: dict[str, int] = {}
    classes: dict[str, set[str]] = {}
    group = np.full(len(keys), -1, dtype=np.int64)
    for row, text in enumerate(texts):
        if match := compiled.search(text):
            group[row] = number.setdefault(match[1], len(number))
            classes.setdefault(match[1], set()).add(keys[row].partition("/")[0])
    return GroupPattern(
        pattern=pattern,
        keys=keys,
        group=group,
        num_groups=len(number),
        examples=tuple(list(number)[:3]),
        num_shared=sum(len(of_group) > 1 for of_group in classes.values()),
    )
