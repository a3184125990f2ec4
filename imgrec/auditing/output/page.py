"""audit.html: a self-contained page without scripts.

Jinja escapes every value. Long lists use <details>, so the page's content security policy can forbid all scripts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgrec.auditing.findings import SEVERITIES, Audit, Case, Section
from imgrec.auditing.output.explanations import EXPLANATIONS, Explanation
from imgrec.auditing.output.shell import shell_line
from imgrec.auditing.output.thumbnails import SMALL_PX, Thumbnails
from imgrec.core.html import page as html_page
from imgrec.core.text import printable
from imgrec.data.samples import Samples

__all__ = ["command_fields", "title", "to_html", "verdict"]

NUM_SHOWN = 6  # visible cases of a section; twice as many where each has one image
NUM_LISTED = 60  # cases of a section on the page; audit.json has all
NUM_IMAGES = 8  # images of a case
NUM_CLASSES = 200  # rows of the table of classes

_COUNTED = {"error": ("error", "errors"), "warning": ("warning", "warnings"), "info": ("info", "infos")}


@dataclass(frozen=True)
class ImageView:
    """An image on the page. `uri` is "" where it cannot be shown; `code` is the reason."""

    path: str
    label: str
    split: str
    size: str
    uri: str
    code: str
    is_small: bool


@dataclass(frozen=True)
class CaseView:
    """A case on the page. `confidence`: of the suggested label; `num_hidden`: images not shown."""

    text: str
    severity: str
    confidence: str
    images: list[ImageView]
    num_hidden: int


@dataclass(frozen=True)
class SectionView:
    """A section of the page.

    Attributes:
        shown: Visible cases.
        more: Cases in a closed <details>.
        num_left: Number of cases that only audit.json has.
        is_narrow: No case has more than one image.
        is_table: No case has an image that can be shown.
    """

    anchor: str
    severity: str
    about: Explanation
    advice: str
    command: str
    note: str
    count: int
    shown: list[CaseView]
    more: list[CaseView]
    num_left: int
    is_narrow: bool
    is_table: bool


def to_html(audit: Audit, splits: Mapping[str, Samples], *, fields: Mapping[str, str]) -> bytes:
    """Return the page. Thumbnails are made of `splits`; `fields` fill the commands of `EXPLANATIONS`."""
    thumbnails = Thumbnails(audit.facts, splits)
    template = html_page.environment(Path(__file__).parent / "templates").get_template("audit.html")
    headline, detail = verdict(audit)
    text = template.render(
        target=printable(audit.target),
        headline=headline,
        detail=detail,
        worst=next((severity for severity in SEVERITIES if audit.count(severity)), "clean"),
        num_files=len(audit.facts),
        counts=[
            (severity, audit.count(severity), _COUNTED[severity][audit.count(severity) != 1]) for severity in SEVERITIES
        ],
        classes=_classes(audit),
        sections=[
            _section(section, audit=audit, thumbnails=thumbnails, fields=fields) for section in audit.worst_first
        ],
        clean=[EXPLANATIONS[one.key].clean for one in audit.sections if not one.cases and audit.was_run(one)],
        not_run=[(title(key), printable(reason)) for key, reason in audit.not_run.items()],
        notes=[printable(note) for note in audit.notes],
        versions=audit.versions,
        fingerprint=audit.fingerprint,
    )
    return html_page.encode(text)


def verdict(audit: Audit) -> tuple[str, str]:
    """Return the verdict of an audit: a headline, and a sentence that counts the most severe findings."""
    worst = next((severity for severity in SEVERITIES if audit.count(severity)), None)
    listed = "; ".join(
        f"{EXPLANATIONS[section.key].title.lower()}: {sum(case.severity == worst for case in section.cases):,}"
        for section in audit.sections
        if section.severity == worst and worst is not None
    )
    headline = {
        "error": "Fix the errors before training",
        "warning": "Usable; check the warnings first",
        "info": "No errors and no warnings",
        None: "No findings",
    }[worst]
    return headline, f"{listed[:1].upper()}{listed[1:]}." if listed else "All checks passed."


def title(key: str) -> str:
    """Return the heading of a section, or of a key of `Audit.not_run`."""
    return EXPLANATIONS[key].title if key in EXPLANATIONS else key.capitalize()


def _section(section: Section, *, audit: Audit, thumbnails: Thumbnails, fields: Mapping[str, str]) -> SectionView:
    about = EXPLANATIONS[section.key]
    views = [_case(case, audit=audit, thumbnails=thumbnails) for case in section.cases[:NUM_LISTED]]
    is_narrow = all(len(case.images) == 1 for case in views)
    command = (section.command or about.command).format(pattern=_pattern(section), **fields)
    if "--apply" in command and not any(audit.facts.file_sha256):
        command = ""  # images in memory, which no table can name
    num_shown = 2 * NUM_SHOWN if is_narrow else NUM_SHOWN
    return SectionView(
        anchor=section.key.replace(".", "-"),
        severity=section.severity or "info",
        about=about,
        advice=section.advice or about.advice,
        command=f"imgrec {command}" if command else "",
        note=printable(section.note),
        count=len(section.cases),
        shown=views[:num_shown],
        more=views[num_shown:],
        num_left=len(section.cases) - len(views),
        is_narrow=is_narrow,
        is_table=section.key == "broken",
    )


def _pattern(section: Section) -> str:
    entry = section.cases[0].entry
    return shell_line([str(entry["pattern"])]) if isinstance(entry, dict) and "pattern" in entry else ""


def _case(case: Case, *, audit: Audit, thumbnails: Thumbnails) -> CaseView:
    rows = case.rows[:NUM_IMAGES]
    return CaseView(
        text=printable(case.text),
        severity=case.severity,
        confidence=f"{case.confidence:.0%}" if case.suggestion >= 0 and len(case.rows) == 1 else "",
        images=[_image(row, audit=audit, thumbnails=thumbnails) for row in rows],
        num_hidden=len(case.rows) - len(rows),
    )


def _image(row: int, *, audit: Audit, thumbnails: Thumbnails) -> ImageView:
    facts = audit.facts
    label, split = int(facts.label[row]), facts.split[row]
    width, height = int(facts.width[row]), int(facts.height[row])
    pixels = f"{width} x {height} px" if width else ""
    size = _bytes(int(facts.num_bytes[row]))
    return ImageView(
        path=printable(audit.paths[row]),
        label=printable(facts.class_names[label]) if label >= 0 else "",
        split="" if split == "all" else split,
        size=", ".join(part.replace(" ", "\N{NO-BREAK SPACE}") for part in (pixels, facts.format[row], size) if part),
        uri=thumbnails.uri(row),
        code=facts.code[row] or "not shown",
        is_small=max(width, height) <= SMALL_PX,
    )


def _bytes(count: int) -> str:
    if count < 1000:
        return f"{count} B"
    return f"{count / 1e3:,.0f} KB" if count < 1e6 else f"{count / 1e6:,.1f} MB"


def _classes(audit: Audit) -> dict[str, Any]:
    """Return the table of images per class and split; widths of its bars in percent."""
    counts: dict[str, dict[str, int]] = {}
    for label, split in zip(audit.facts.label, audit.facts.split, strict=True):
        if label >= 0:
            row = counts.setdefault(audit.facts.class_names[label], {})
            row[split] = row.get(split, 0) + 1
    splits = list(dict.fromkeys(audit.facts.split))
    largest = max((sum(row.values()) for row in counts.values()), default=1)
    order: Sequence[str] = sorted(counts, key=lambda name: -sum(counts[name].values()))
    rows = [
        (
            printable(name),
            [counts[name].get(split, 0) for split in splits],
            sum(counts[name].values()),
            100 * sum(counts[name].values()) / largest,
        )
        for name in order[:NUM_CLASSES]
    ]
    return {"splits": ["images"] if splits == ["all"] else splits, "rows": rows, "num_left": len(order) - len(rows)}


def command_fields(*, target: str | None, overrides: Sequence[str], output: Path) -> dict[str, str]:
    """Return the fields of the commands of `EXPLANATIONS`, quoted for a shell."""
    named = [*([target] if target is not None else []), *overrides]
    if target is None:
        data = list(overrides)
    elif Path(target).is_dir():
        data = ["data=folder", f"data.root={target}", *overrides]
    else:
        data = ["data=table", f"data.path={target}", *overrides]
    return {"target": shell_line(named), "data": shell_line(data), "output": shell_line([str(output)])}
