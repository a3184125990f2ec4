"""Patterns by which file names may tell which images belong together, in the form that `data.group_pattern` takes."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imgrec.auditing.scan.facts import FactsTable

__all__ = ["GroupPattern", "candidate_patterns", "file_keys", "match_pattern"]

IntArray = NDArray[np.int64]

# What is in the parentheses is the group's name. Without "/" a pattern is looked for in the file's name, else in
# `class/.../file`: so data.group_pattern has it.
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
    """A pattern and what it finds in N file names.

    group: int64 (N,), the number of each row's group; -1: none. examples: names of three groups.
    num_shared: names that occur in more than one class.
    """

    pattern: str
    keys: Sequence[str]
    group: IntArray
    num_groups: int
    examples: tuple[str, ...]
    num_shared: int

    def within_classes(self) -> "GroupPattern":
        """Return the pattern that tells groups of one name in different classes apart."""
        if self.pattern == _FOLDER:
            return match_pattern(_FOLDER_PATH, self.keys)
        return match_pattern("^(.*/" + self.pattern.removeprefix("^("), self.keys)


def file_keys(facts: FactsTable) -> list[str]:
    """Return `class/.../file` of each row: a file's path from the last folder that bears its class's name.

    A file that is in no such folder (a table's) has its class in front of its name.
    """
    keys = []
    for name, label in zip(facts.name, facts.label.tolist(), strict=True):
        parts = name.replace("\\", "/").split("/")
        of_class = facts.class_names[label] if label >= 0 else ""
        places = [place for place, part in enumerate(parts[:-1]) if part == of_class]
        keys.append("/".join(parts[places[0] :]) if places else f"{of_class}/{parts[-1]}")
    return keys


def candidate_patterns(facts: FactsTable, keys: Sequence[str]) -> Iterator[GroupPattern]:
    """Return the patterns that find a group in every image of training, and more than 2 groups in all."""
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
    """Look for a pattern in every key, as `data.group_pattern` does."""
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
