"""Formats, colour modes and flags of the files of a data set, and which of them are rare."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from imgrec.auditing.dataset_checks.statistics import Fact, Severity
from imgrec.auditing.scan.facts import FactsTable

__all__ = ["FormatFacts", "format_facts"]

RARE_SHARE = 0.02  # of all files: a kind of file is rare up to this share
MAX_RARE = 10  # and up to this number


@dataclass(frozen=True)
class FormatFacts:
    """How many usable images have a format, a mode (as Pillow names it) or a flag (see `FactsTable.flags`).

    Attributes:
        findings: Rare kinds of files, and files with the extension of another format.
    """

    formats: Mapping[str, int]
    modes: Mapping[str, int]
    flags: Mapping[str, int]
    findings: list[Fact]


# Flags that are reported where they are rare. The others are normal in a few images of a collection (a gray photograph,
# an embedded profile), or are reported elsewhere.
_RARE_FLAGS = ("animated", "palette", "cmyk", "alpha", "sixteen_bit", "extreme_aspect")


def format_facts(facts: FactsTable) -> FormatFacts:
    """Count formats, modes and flags.

    Findings: warning: a format of at most 2 % and at most 10 images, and animated images (the first frame is read).
    info: modes and flags as rare as that; wrong file extensions; JPEGs without an end marker.
    """
    rows = np.flatnonzero(facts.is_usable).tolist()
    kinds: dict[str, dict[int, tuple[str, ...]]] = {
        "format": {row: (facts.format[row],) for row in rows if facts.format[row]},
        "flag": {row: facts.flags[row] for row in rows},
        "mode": {row: (facts.mode[row],) for row in rows if facts.mode[row]},
    }
    counts = {
        kind: Counter(value for values in of_rows.values() for value in values) for kind, of_rows in kinds.items()
    }
    return FormatFacts(
        formats=_sorted(counts["format"]),
        modes=_sorted(counts["mode"]),
        flags=_sorted(counts["flag"]),
        findings=_rare_kinds(kinds, len(rows)) + _faulty_names(kinds["flag"]),
    )


def _sorted(counter: Counter[str]) -> dict[str, int]:
    return dict(sorted(counter.items(), key=lambda item: (-item[1], item[0])))


def _rare_kinds(kinds: Mapping[str, Mapping[int, Sequence[str]]], count: int) -> list[Fact]:
    """Return the rare formats, then rare modes and flags of images that are not listed for their format."""
    found: list[Fact] = []
    named: set[int] = set()
    for kind, of_rows in kinds.items():
        rows_of: dict[str, list[int]] = {}
        for row, values in of_rows.items():
            for value in values:
                if kind != "flag" or value in _RARE_FLAGS:
                    rows_of.setdefault(value, []).append(row)
        for value, rows in sorted(rows_of.items(), key=lambda item: (len(item[1]), item[0])):
            is_rare = len(rows) <= min(MAX_RARE, RARE_SHARE * count)
            if not (is_rare or value == "animated") or set(rows) <= named:
                continue
            named.update(rows)
            severity: Severity = "warning" if kind == "format" or value == "animated" else "info"
            found.append(Fact(severity, _rare_text(kind, value, len(rows), count), tuple(rows)))
    return found


def _rare_text(kind: str, value: str, number: int, count: int) -> str:
    first = " The first frame is read." if value == "animated" else ""
    return f"{kind} {value}: {number} of {count} images.{first}"


def _faulty_names(flags: Mapping[int, Sequence[str]]) -> list[Fact]:
    texts = {
        "wrong_extension": "files have the extension of another format; some software refuses them.",
        "no_eoi": "JPEG files lack the end marker; all pixels are there.",
    }
    found = []
    for flag, text in texts.items():
        if rows := tuple(row for row, values in flags.items() if flag in values):
            found.append(Fact("info", f"{len(rows)} {text}", rows))
    return found
