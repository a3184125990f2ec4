"""Sections of the report about classes, files, labels and groups, and the tables that audit.json has beside them."""

from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

from imgrec.auditing.dataset_checks.formats import format_facts
from imgrec.auditing.dataset_checks.groups import CrossingGroup, LeakingGroups
from imgrec.auditing.dataset_checks.outliers import Outlier, outliers
from imgrec.auditing.dataset_checks.shortcuts import Shortcut
from imgrec.auditing.dataset_checks.statistics import Fact, imbalance
from imgrec.auditing.findings import Case, Section
from imgrec.auditing.labels.labels import HANDCRAFTED, LabelRanking
from imgrec.auditing.output.explanations import JUDGE_BETTER, JUDGE_BETTER_ADVICE
from imgrec.auditing.scan.facts import FactsTable

__all__ = [
    "class_section",
    "fact_section",
    "format_section",
    "group_section",
    "label_section",
    "leaking_section",
    "outlier_section",
    "shortcut_section",
]

Summaries = dict[str, Any]  # further keys of audit.json


def class_section(facts: FactsTable, paths: Sequence[str], *, summaries: Summaries) -> Section:
    """Return the findings about the number of images per class; add the counts to `summaries`."""
    found = imbalance(facts)
    summaries["classes"] = {
        "names": list(found.class_names),
        "counts": dict(found.counts),
        "ratio": found.ratio,
        "effective_classes": found.effective_classes,
        "unlabelled": found.unlabelled,
    }
    return fact_section("imbalance", found.findings, paths)


def format_section(facts: FactsTable, paths: Sequence[str], *, summaries: Summaries) -> Section:
    """Return the rare kinds of files; add the counts of each kind to `summaries`."""
    found = format_facts(facts)
    summaries["kinds_of_files"] = {"formats": found.formats, "modes": found.modes, "flags": found.flags}
    return fact_section("formats", found.findings, paths)


def fact_section(key: str, found: Sequence[Fact], paths: Sequence[str]) -> Section:
    """Return a case per fact."""
    cases = [
        Case(
            rows=tuple(int(row) for row in fact.rows),
            severity=fact.severity,
            text=fact.text,
            entry={"severity": fact.severity, "text": fact.text, "paths": [paths[row] for row in fact.rows]},
        )
        for fact in found
    ]
    return Section(key, cases)


def outlier_section(facts: FactsTable, paths: Sequence[str]) -> Section:
    """Return a case per outlier, with all its unusual properties."""
    by_row = groupby(sorted(outliers(facts), key=lambda one: one.row), key=lambda one: one.row)
    found = [(row, list(of_row)) for row, of_row in by_row]
    found.sort(key=lambda pair: min((one.severity == "info", -abs(one.distance)) for one in pair[1]))
    return Section("outliers", [_outlier(paths[row], row, of_row) for row, of_row in found])


def _outlier(path: str, row: int, found: Sequence[Outlier]) -> Case:
    kept = ("property", "value", "usual", "distance")
    return Case(
        rows=(row,),
        severity="warning" if any(one.severity == "warning" for one in found) else "info",
        text="; ".join(one.text for one in found),
        entry={"path": path, "findings": [{name: asdict(one)[name] for name in kept} for one in found]},
    )


def label_section(facts: FactsTable, paths: Sequence[str], *, ranking: LabelRanking, summaries: Summaries) -> Section:
    """Return the suspected label errors; add the most doubtful tenth and the accuracy of the judge to `summaries`."""
    summaries["label_ranking"] = {
        "num_judged": len(ranking.rows),
        "accuracy": ranking.accuracy,
        "skill": ranking.skill,
        "features": ranking.features,
        "most_doubtful": [paths[row] for row in ranking.rows[: (len(ranking.rows) + 9) // 10]],
    }
    names = facts.class_names
    cases = [
        Case(
            rows=(one.row,),
            severity=ranking.severity,
            text=f"labelled {names[one.given]}, predicted {names[one.suggested]}",
            entry={
                "path": paths[one.row],
                "label": names[one.given],
                "suggested": names[one.suggested],
                "confidence": one.confidence,
                "score": one.score,
            },
            confidence=one.confidence,
            suggestion=one.suggested,
        )
        for one in ranking.suspects
    ]
    is_weak = ranking.severity == "info" and ranking.features == HANDCRAFTED
    better = {"advice": JUDGE_BETTER_ADVICE, "command": JUDGE_BETTER} if is_weak else {}
    return Section("suspected_labels", cases, note=_reliability(ranking), **better)


def _reliability(ranking: LabelRanking) -> str:
    """Return how well the classifier that judges the labels predicts them."""
    if ranking.accuracy is None:
        return ""
    text = f"The classifier uses {ranking.features}; its cross-validated balanced accuracy is {ranking.accuracy:.0%}."
    if ranking.severity == "info":
        text += (
            " That is too low to rely on: most of the suspects are hard images, not label errors, and the plan has "
            "none of them."
        )
    return text


def group_section(paths: Sequence[str], found: Sequence[CrossingGroup]) -> Section:
    """Return a case per group that is in two splits or more."""
    cases = [
        Case(
            rows=one.rows,
            severity=one.severity,
            text=one.text,
            entry={"group": one.group, "counts": one.counts, "paths": [paths[row] for row in one.rows]},
        )
        for one in found
    ]
    return Section("groups", cases)


def leaking_section(paths: Sequence[str], found: Sequence[LeakingGroups]) -> Section:
    """Return a case per pattern of file names whose groups a random split would leak."""
    kept = ("pattern", "num_groups", "examples", "same_group", "chance", "num_pairs", "leaking_before", "leaking_after")
    cases = [
        Case(
            rows=one.rows,
            severity=one.severity,
            text=one.text,
            entry={
                **{name: getattr(one, name) for name in kept},
                "text": one.text,
                "paths": [paths[row] for row in one.rows],
            },
        )
        for one in found
    ]
    return Section("leaking_groups", cases)


def shortcut_section(facts: FactsTable, paths: Sequence[str], found: Sequence[Shortcut]) -> Section:
    """Return a case per property of files that predicts a class."""
    kept = ("property", "accuracy", "p_value", "share_in_class", "share_in_others", "severity", "text")
    cases = [
        Case(
            rows=one.rows,
            severity=one.severity,
            text=one.text,
            entry={
                "class": facts.class_names[one.label],
                **{name: getattr(one, name) for name in kept},
                "paths": [paths[row] for row in one.rows],
            },
        )
        for one in found
    ]
    return Section("shortcuts", cases)
