"""Groups that `imgrec split` keeps together: by a column, by file names, and duplicates."""

import argparse
import re
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

from imgrec.cli.inputs.columns import find_tables, group_names, read_column
from imgrec.data.samples import Samples
from imgrec.data.sources.targets import Target
from imgrec.data.splits.groups import merge_groups
from imgrec.errors import ConfigError, DataError

__all__ = ["TIES", "column_of", "find_groups"]

TIES = {"exact": "equal images", "near": "duplicates (equal or nearly equal images)", "no": ""}
"""What --keep-duplicates keeps together, for messages."""


def find_groups(options: argparse.Namespace, whole: Samples, names: Sequence[str], target: Target) -> list[str] | None:
    """Return a group name per image, where all kinds of groups are merged; None without groups.

    Args:
        options: Of `imgrec split`.
        whole: All images.
        names: Of the images, relative to the folder of the data.
        target: The data.

    Raises:
        ConfigError: An invalid regular expression.
        DataError: A column or an expression that does not give every image a group.
    """
    given = [] if whole.groups is None else [list(whole.groups)]
    if options.group is not None:
        given.append(group_names(column_of(options, options.group, whole.names)))
    if options.group_pattern is not None:
        given.append(_by_pattern(options.group_pattern, names))
    groups = merge_groups(*given, called=given[0]) if given else None
    if options.keep_duplicates == "no":
        return groups
    duplicates = _duplicates(options, whole, target)
    together = merge_groups(duplicates, *([] if groups is None else [groups]), called=groups or names)
    _say_duplicates(duplicates, groups, together, ties=TIES[options.keep_duplicates])
    return together


def column_of(options: argparse.Namespace, column: str, names: Sequence[str]) -> list[Any]:
    """Return a cell per image from the table that the options name.

    Raises:
        DataError: It has none for an image.
    """
    tables = find_tables(options.target, options.overrides)
    return read_column(column, tables=tables, names=names, overrides=options.overrides)


def _by_pattern(text: str, names: Sequence[str]) -> list[str]:
    """Return the group in each file name; in the whole path if the expression has a "/"."""
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise ConfigError(f"--group-pattern {text!r} is not a regular expression: {error}.") from None
    texts = names if "/" in text else [name.rpartition("/")[2] for name in names]
    found = [match and match[min(pattern.groups, 1)] for match in map(pattern.search, texts)]
    if without := [name for name, group in zip(names, found, strict=True) if group is None]:
        raise DataError(
            f"--group-pattern {text!r} finds no group in {len(without)} of {len(names)} names: "
            f"{', '.join(without[:4])}."
        )
    return [group or "" for group in found]


def _duplicates(options: argparse.Namespace, whole: Samples, target: Target) -> list[str]:
    """Return a name per image, equal for duplicates."""
    from imgrec.auditing.duplicates.near import duplicate_groups, exact_groups
    from imgrec.auditing.scan.scan import scan

    notes: list[str] = []
    facts = scan(
        {"all": whole},
        class_names=target.class_names,
        workers=options.workers,
        store=options.scan,
        progress=_progress,
        notes=notes,
    )
    if broken := [name for name, code in zip(facts.name, facts.code, strict=True) if code]:
        notes.append(f"{len(broken)} unreadable images, which have no known duplicates: {', '.join(broken[:4])}.")
    for note in notes:
        sys.stderr.write(f"note: {note}\n")
    if options.keep_duplicates == "near":
        return list(duplicate_groups(facts))
    duplicates = list(whole.names)
    for rows in exact_groups(facts):
        for row in rows:
            duplicates[row] = whole.names[rows[0]]
    return duplicates


def _progress(done: int, count: int) -> None:
    if sys.stderr.isatty() and (done == count or done % 20 == 0):
        sys.stderr.write(f"\rsearching for duplicates: {done} of {count}{chr(10) if done == count else ''}")


def _say_duplicates(
    duplicates: Sequence[str], given: Sequence[str] | None, together: Sequence[str], *, ties: str
) -> None:
    tied = [size for size in Counter(duplicates).values() if size > 1]
    joined = "" if given is None else f"; {len(set(given))} groups become {len(set(together))}"
    sys.stderr.write(
        f"note: {sum(tied)} images are {ties}, in {len(tied)} group{'' if len(tied) == 1 else 's'}{joined}.\n"
    )
