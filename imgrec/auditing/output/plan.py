"""Proposals for plan.csv: what to do about each image with a finding.

Only what is certain gets an action: broken files and further copies of the same pixels are to be removed. Everything
else is for review, with a label or a group filled in, and changes nothing until the plan is edited.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from imgrec.auditing.findings import Audit, Case

__all__ = ["ACTIONS", "Action", "Proposal", "propose"]

Action = Literal["remove", "relabel", "move", "review", "keep"]
ACTIONS: tuple[Action, ...] = ("remove", "relabel", "move", "review", "keep")  # the strongest first

# Which copy stays: the one in test, so that metrics stay comparable with published ones; then the one in val.
_STAYS = ("test", "val", "train", "all")
_REASONS = {
    "label_conflicts": "duplicates with different labels",
    "leaks.near": "near-duplicate in another split",
    "groups": "group in more than one split",
    "suspected_labels": "suspected label error",
    "outliers": "outlier",
    "formats": "rare format",
    "near_duplicates": "near-duplicate",
}

_WARNINGS_ONLY = ("formats", "suspected_labels")  # cases of severity info get no line


@dataclass(frozen=True)
class Proposal:
    """One line of plan.csv: what to do with the image in `row` of the facts.

    Attributes:
        confidence: That the finding is real, 0 to 1.
        new_label: Index of the suggested class, -1: none.
        group: Name of the set of duplicates that must stay in one split, "": none.
    """

    row: int
    action: Action
    reason: str
    evidence: str
    confidence: float
    new_label: int = -1
    group: str = ""


def propose(audit: Audit) -> list[Proposal]:
    """Return one proposal per image that anything was found about, in the order of the report.

    An image found by several checks gets the strongest action, with all reasons.
    """
    merged: dict[int, Proposal] = {}
    for proposal in _all(audit):
        known = merged.get(proposal.row)
        merged[proposal.row] = proposal if known is None else _merge(known, proposal)
    groups = _groups(audit)
    return [replace(proposal, group=groups.get(row, "")) for row, proposal in merged.items()]


def _all(audit: Audit) -> Iterator[Proposal]:
    keys = {section.key: section.cases for section in audit.sections}
    for case in keys["broken"]:
        yield Proposal(case.rows[0], "remove", "broken", case.text, 1.0)
    in_conflict = {case.rows for case in keys["label_conflicts"]}
    leaks = {case.rows for case in keys["leaks.exact"]}
    for rows in sorted((case.rows for case in keys["exact_duplicates"]), key=lambda rows: rows not in leaks):
        if rows not in in_conflict:  # which copy has the correct label has to be decided first
            yield from _copies(audit, rows)
    for key in _REASONS:
        for case in keys.get(key, ()):
            if key not in _WARNINGS_ONLY or case.severity != "info":
                yield from _review(case, reason=_REASONS[key], audit=audit, changes_nothing=key == "near_duplicates")


def _copies(audit: Audit, rows: Sequence[int]) -> Iterator[Proposal]:
    splits = audit.facts.split
    stays = min(rows, key=lambda row: (_STAYS.index(splits[row]), audit.paths[row]))
    where = f" in {splits[stays]}" if len({splits[row] for row in rows}) > 1 else ""
    yield Proposal(stays, "keep", "exact duplicate", f"the copy to keep{where}", 1.0)
    for row in rows:
        if row != stays:
            reason = "exact duplicate" if splits[row] == splits[stays] else "same image in two splits"
            yield Proposal(row, "remove", reason, f"same pixels as {audit.paths[stays]}{where}", 1.0)


def _review(case: Case, *, reason: str, audit: Audit, changes_nothing: bool) -> Iterator[Proposal]:
    for row in case.rows:
        others = [audit.paths[other] for other in case.rows if other != row]
        beside = f": {others[0]}" if len(others) == 1 else ""
        suggestion = -1 if case.suggestion == audit.facts.label[row] else case.suggestion
        action: Action = "keep" if changes_nothing else "review"
        yield Proposal(row, action, reason, f"{case.text}{beside}", case.confidence, suggestion)


def _merge(first: Proposal, second: Proposal) -> Proposal:
    """Return the stronger of two proposals for an image, with the reasons of both, except for keep."""
    strong, weak = sorted((first, second), key=lambda one: ACTIONS.index(one.action))
    if weak.action == "keep" or weak.reason in strong.reason.split("; "):
        return strong
    return replace(
        strong,
        reason=f"{strong.reason}; {weak.reason}",
        evidence=f"{strong.evidence}; {weak.evidence}",
        new_label=strong.new_label if strong.new_label >= 0 else weak.new_label,
    )


def _groups(audit: Audit) -> dict[int, str]:
    """Return the group name of each row that has a duplicate."""
    sizes = Counter(audit.duplicates)
    numbers: dict[str, int] = {}
    return {
        row: f"duplicates-{numbers.setdefault(duplicates, len(numbers) + 1):04d}"
        for row, duplicates in enumerate(audit.duplicates)
        if sizes[duplicates] > 1
    }
