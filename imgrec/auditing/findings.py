"""What an audit found, in one shape for the page, the plan, the exit code and audit.json."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, Literal

from imgrec.auditing.scan.facts import FactsTable
from imgrec.core.files import json_file

__all__ = ["SEVERITIES", "Audit", "Case", "Section", "Severity", "to_json"]

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")  # the worst first


@dataclass(frozen=True)
class Case:
    """One thing found.

    rows: the images it is about, as rows of the facts; shown side by side. None where it is about a class.
    text: what was seen, in a few words; file and class names in it are as the user wrote them, not escaped.
    entry: what audit.json says of it.
    confidence: how sure it is that something is wrong, 0 to 1.
    suggestion: the label (index of a class) that the image should have; -1: none is known.
    """

    rows: tuple[int, ...]
    severity: Severity
    text: str
    entry: Any
    confidence: float = 1.0
    suggestion: int = -1


@dataclass(frozen=True)
class Section:
    """All cases of one kind, the worst first.

    key: a key of audit.json, or "leaks.exact" for one inside another. note: how far these cases can be trusted.
    command: what to run, where it is another one than `EXPLANATIONS` has.
    """

    key: str
    cases: Sequence[Case]
    note: str = ""
    command: str = ""

    @property
    def severity(self) -> Severity | None:
        """That of its worst case, None where there is none."""
        return min((case.severity for case in self.cases), key=SEVERITIES.index, default=None)


@dataclass(frozen=True)
class Audit:
    """The result of an audit.

    target: the words the user named the data by.
    paths: what this report calls each row of `facts`: relative to the target, with "/".
    sections: in the order of the page, those without cases too.
    duplicates: one name per row, the same for exact and near duplicates.
    not_run: what was not looked for -> why.
    summaries: further keys of audit.json: tables of numbers that are no cases.
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
        """Every case, the worst first; `case.text` says what was found."""
        cases = [case for section in self.worst_first for case in section.cases]
        return sorted(cases, key=lambda case: SEVERITIES.index(case.severity))

    def _repr_html_(self) -> str:
        rows = [
            (section.key, len(section.cases), section.severity, section.cases[0].text)
            for section in self.worst_first
            if section.cases
        ]
        cells = "".join(f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows)
        head = "<tr><th>check</th><th>findings</th><th>severity</th><th>first</th></tr>"
        return f"<p>{len(self.facts):,} images of {escape(self.target)}</p><table>{head}{cells}</table>"

    @property
    def worst_first(self) -> list[Section]:
        """The sections with cases, those with the worst ones first."""
        return [section for severity in SEVERITIES for section in self.sections if section.severity == severity]

    def was_run(self, section: Section) -> bool:
        """Whether the cases of a section were looked for at all."""
        return not {section.key, section.key.partition(".")[0]} & set(self.not_run)

    def count(self, severity: Severity) -> int:
        """Return the number of cases of a severity."""
        return sum(case.severity == severity for section in self.sections for case in section.cases)

    def fails(self, fail_on: str) -> bool:
        """Whether there is a case as bad as `fail_on` ("error", "warning", "info") or worse; "never": no."""
        if fail_on == "never":
            return False
        worst = SEVERITIES[: SEVERITIES.index(fail_on) + 1]
        return any(self.count(severity) for severity in worst)


def to_json(audit: Audit) -> bytes:
    """Return audit.json: a line per case, the same bytes for the same data, whenever and by however many processes."""
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
