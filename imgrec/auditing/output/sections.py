"""Sections of the report about files and duplicates: text, severity and order of their cases."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from imgrec.auditing.duplicates.near import NearPair
from imgrec.auditing.findings import Case, Section, Severity
from imgrec.auditing.scan.facts import FactsTable

__all__ = ["broken_section", "conflict_section", "duplicate_sections", "leak_sections"]

_KINDS = {"exact": "the same image", "similar": "near-duplicates"}


def broken_section(facts: FactsTable, paths: Sequence[str]) -> Section:
    """Return the files that cannot be used, ordered by reason and path."""
    rows = [row for row, code in enumerate(facts.code) if code]
    rows.sort(key=lambda row: (facts.code[row], paths[row]))
    cases = [
        Case(
            rows=(row,),
            severity="error",
            text=f"{facts.code[row]}: {facts.detail[row]}",
            entry={"path": paths[row], "code": facts.code[row], "detail": facts.detail[row]},
        )
        for row in rows
    ]
    return Section("broken", cases)


def duplicate_sections(
    paths: Sequence[str], *, groups: Sequence[Sequence[int]], pairs: Sequence[NearPair]
) -> list[Section]:
    """Return all groups of exact duplicates, the largest first, and all near-duplicates, the most similar first."""
    exact = [
        Case(
            rows=tuple(group),
            severity="warning",
            text=f"{len(group)} copies",
            entry=[paths[row] for row in group],
        )
        for group in sorted(groups, key=lambda group: (-len(group), group))
    ]
    near = [
        Case(
            rows=(pair.first, pair.second),
            severity="info",
            text=_similarity(pair),
            entry=[paths[pair.first], paths[pair.second]],
            confidence=pair.similarity,
        )
        for pair in _by_similarity(pairs)
    ]
    return [Section("exact_duplicates", exact), Section("near_duplicates", near)]


def leak_sections(
    facts: FactsTable, paths: Sequence[str], *, groups: Sequence[Sequence[int]], pairs: Sequence[NearPair]
) -> list[Section]:
    """Return the exact and near-duplicates that are in more than one split."""
    exact = [
        Case(
            rows=tuple(group),
            severity="error",
            text=f"the same image in {_and([facts.split[row] for row in group])}",
            entry=[paths[row] for row in group],
        )
        for group in groups
        if len({facts.split[row] for row in group}) > 1
    ]
    near = [
        Case(
            rows=(pair.first, pair.second),
            severity="warning",
            text=f"{_similarity(pair)}; in {_and([facts.split[pair.first], facts.split[pair.second]])}",
            entry=[paths[pair.first], paths[pair.second]],
            confidence=pair.similarity,
        )
        for pair in _by_similarity(pairs)
        if facts.split[pair.first] != facts.split[pair.second]
    ]
    return [Section("leaks.exact", exact), Section("leaks.near", near)]


def conflict_section(
    facts: FactsTable, paths: Sequence[str], *, groups: Sequence[Sequence[int]], pairs: Sequence[NearPair]
) -> Section:
    """Return the duplicates with different labels, exact ones first."""
    exact = [_conflict(facts, paths, group, kind="exact", severity="error", confidence=1.0) for group in groups]
    near = [
        _conflict(
            facts,
            paths,
            (pair.first, pair.second),
            kind=pair.kind,
            severity="warning",
            confidence=pair.similarity,
        )
        for pair in _by_similarity(pairs)
    ]
    return Section("label_conflicts", [case for case in (*exact, *near) if case is not None])


def _conflict(
    facts: FactsTable, paths: Sequence[str], rows: Sequence[int], *, kind: str, severity: Severity, confidence: float
) -> Case | None:
    labels = [int(facts.label[row]) for row in rows]
    if len(set(labels) - {-1}) < 2:
        return None
    names = [facts.class_names[label] if label >= 0 else None for label in labels]
    listed = " and ".join(sorted({name for name in names if name is not None}))
    return Case(
        rows=tuple(rows),
        severity=severity,
        text=f"{_KINDS.get(kind, f'near-duplicates ({kind})')}, labelled {listed}",
        entry={"paths": [paths[row] for row in rows], "labels": names, "kind": kind},
        confidence=confidence,
        suggestion=_majority(labels),
    )


def _majority(labels: Sequence[int]) -> int:
    """Return the label of more than half of the labelled images, -1 if there is none."""
    given = sorted(label for label in labels if label >= 0)
    sizes = {label: len(list(same)) for label, same in groupby(given)}
    return next((label for label, size in sizes.items() if 2 * size > len(given)), -1)


def _by_similarity(pairs: Sequence[NearPair]) -> Iterator[NearPair]:
    return iter(sorted(pairs, key=lambda pair: (-pair.similarity, pair.distance, pair.first, pair.second)))


def _similarity(pair: NearPair) -> str:
    changes = "" if pair.kind == "similar" else f"{pair.kind}, "
    return f"{changes}similarity {pair.similarity:.2f}"


def _and(names: Sequence[str]) -> str:
    return " and ".join(sorted(set(names), key=("train", "val", "test").index))
