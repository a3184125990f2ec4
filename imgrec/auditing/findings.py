"""Findings of an audit: cases, sections, `Audit`, and audit.json."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, Literal

from imgrec.auditing.output.explanations import EXPLANATIONS
from imgrec.auditing.scan.facts import FactsTable
from imgrec.core.files import json_file
from imgrec.core.text import printable

__all__ = ["SEVERITIES", "Audit", "Case", "Section", "Severity", "to_json"]

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")  # the most severe first


@dataclass(frozen=True)
class Case:
    """One finding.

    Attributes:
        rows: The images concerned, as rows of `Audit.facts` and `Audit.paths`; empty for a finding about a class.
        severity: "error", "warning" or "info".
        text: What was found, in a few words. File and class names are not escaped.
        entry: The same as in audit.json, with paths.
        confidence: That the finding is real, 0 to 1.
        suggestion: Index of the suggested class, -1: none.
    """

    rows: tuple[int, ...]
    severity: Severity
    text: str
    entry: Any
    confidence: float = 1.0
    suggestion: int = -1


@dataclass(frozen=True)
class Section:
    """All cases of one kind, the most severe first.

    Attributes:
        key: Key in audit.json; "leaks.exact" for a nested one.
        cases: The findings.
        note: How reliable they are.
        advice: What to do; "": the advice of `EXPLANATIONS`.
        command: The command for it; "": that of `EXPLANATIONS`.
    """

    key: str
    cases: Sequence[Case]
    note: str = ""
    advice: str = ""
    command: str = ""

    @property
    def severity(self) -> Severity | None:
        """Severity of the most severe case, None without cases."""
        return min((case.severity for case in self.cases), key=SEVERITIES.index, default=None)


@dataclass(frozen=True)
class Audit:
    """The result of an audit.

    Attributes:
        target: The arguments that name the data.
        facts: What was measured of each image, one row per image.
        paths: Path of each row in the report: relative to the target, with "/".
        sections: One per check, in the order of the page, also those without cases.
        duplicates: A name per row, equal for exact and near-duplicates.
        not_run: Checks that did not run, each with the reason.
        settings: The fields of `AuditSettings`.
        versions: Versions of the packages that the result depends on.
        notes: Remarks on the data, such as skipped files.
        summaries: Further tables of audit.json.
        fingerprint: SHA-256 of paths, splits, labels and pixels.
    """

    target: str
    facts: FactsTable
    paths: Sequence[str]
    sections: Sequence[Section]
    duplicates: Sequence[str]
    not_run: Mapping[str, str]
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    notes: Sequence[str] = ()
    summaries: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: str = ""

    @property
    def findings(self) -> list[Case]:
        """All cases, the most severe first: `case.severity`, `case.text`, and the images `case.rows`."""
        cases = [case for section in self.worst_first for case in section.cases]
        return sorted(cases, key=lambda case: SEVERITIES.index(case.severity))

    def __repr__(self) -> str:
        counts = ", ".join(f"{severity}s={self.count(severity)}" for severity in SEVERITIES)
        return f"Audit({self.target!r}, images={len(self.facts)}, {counts})"

    def _repr_html_(self) -> str:
        rows = [
            (EXPLANATIONS[one.key].title, f"{len(one.cases):,}", one.severity, printable(one.cases[0].text))
            for one in self.worst_first
        ]
        cells = "".join(f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows)
        head = "<tr><th>Check</th><th>Findings</th><th>Severity</th><th>First finding</th></tr>"
        table = f"<table>{head}{cells}</table>" if rows else "<p>No findings.</p>"
        return f"<p>{len(self.facts):,} images of {escape(printable(self.target))}</p>{table}"

    @property
    def worst_first(self) -> list[Section]:
        """The sections with cases, the most severe first."""
        return [section for severity in SEVERITIES for section in self.sections if section.severity == severity]

    def was_run(self, section: Section) -> bool:
        """Return whether the check of a section ran."""
        return not {section.key, section.key.partition(".")[0]} & set(self.not_run)

    def count(self, severity: Severity) -> int:
        """Return the number of cases of a severity."""
        return sum(case.severity == severity for section in self.sections for case in section.cases)

    def fails(self, fail_on: str) -> bool:
        """Return whether a case is at least as severe as `fail_on`: "error", "warning", "info", or "never"."""
        if fail_on == "never":
            return False
        worst = SEVERITIES[: SEVERITIES.index(fail_on) + 1]
        return any(self.count(severity) for severity in worst)


def to_json(audit: Audit) -> bytes:
    """Return audit.json, one line per case: the same bytes for the same data."""
    content: dict[str, Any] = {
        "target": audit.target,
        "num_files": len(audit.facts),
        "num_errors": audit.count("error"),
        "num_warnings": audit.count("warning"),
        "num_infos": audit.count("info"),
        "fingerprint": audit.fingerprint,
    }
    for section in audit.sections:
        outer, _, inner = section.key.partition(".")
        entries = [case.entry for case in section.cases]
        if inner:
            content.setdefault(outer, {})[inner] = entries
        else:
            content[outer] = entries
    content |= audit.summaries
    content |= {"not_run": dict(audit.not_run), "notes": list(audit.notes)}
    content |= {"settings": dict(audit.settings), "versions": dict(audit.versions)}
    return json_file.to_json(content, digits=6)
