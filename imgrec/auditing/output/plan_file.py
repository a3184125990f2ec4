"""plan.csv: writing it for a spreadsheet, and reading an edited one with all errors by line number."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgrec.auditing.findings import Audit
from imgrec.auditing.output.plan import ACTIONS, Proposal
from imgrec.core.files.csv_cell import guarded
from imgrec.core.text import printable
from imgrec.data.sources.assemble import SPLIT_OF
from imgrec.data.sources.records import read_records
from imgrec.errors import DataError, did_you_mean

__all__ = ["COLUMNS", "Decision", "cell", "read_plan", "write_plan"]

COLUMNS = ("path", "action", "reason", "evidence", "confidence", "label", "new_label", "split", "new_split", "group")
MAX_LISTED = 20  # problems that a message shows
FEW_PATHS = 5000  # up to here an unknown path gets a suggestion


@dataclass(frozen=True)
class Decision:
    """A line of an edited plan. place: "line 3". new_label: index of a class, -1: none. group: "": none."""

    place: str
    row: int
    action: str
    new_label: int = -1
    new_split: str = ""
    group: str = ""


def write_plan(audit: Audit, proposals: Sequence[Proposal]) -> bytes:
    """Return the plan as CSV in UTF-8 with a byte-order mark, which Excel needs."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    facts = audit.facts
    for one in proposals:
        label = int(facts.label[one.row])
        values = (
            audit.paths[one.row],
            one.action,
            one.reason,
            one.evidence,
            f"{one.confidence:.3f}",
            facts.class_names[label] if label >= 0 else "",
            facts.class_names[one.new_label] if one.new_label >= 0 else "",
            "" if facts.split[one.row] == "all" else facts.split[one.row],
            "",
            one.group,
        )
        writer.writerow([cell(value) for value in values])
    return b"\xef\xbb\xbf" + text.getvalue().encode("utf-8", "backslashreplace")


def cell(text: str) -> str:
    """Return text on one line; what a spreadsheet would run as a formula gets an apostrophe in front."""
    return guarded(printable(text))


def read_plan(path: Path, *, paths: Sequence[str], class_names: Sequence[str], splits: Sequence[str]) -> list[Decision]:
    """Read an edited plan. Only the columns path and action are required; unknown columns are ignored.

    Args:
        path: The CSV file.
        paths: The paths of the images in the report, in the order of the rows.
        class_names: Classes of the data.
        splits: Splits of the data; ["all"]: none.

    Raises:
        DataError: Lines that cannot be applied, each with its number and the reason.
    """
    if not _has_lines(path):
        return []
    table = read_records(path)
    if missing := [column for column in ("path", "action") if column not in table.columns]:
        raise DataError(f"{path} has no column {' and '.join(missing)}. Its columns: {', '.join(table.columns)}.")
    reader = _Reader(_by_cell(paths), _by_cell(class_names), has_splits=list(splits) != ["all"])
    problems = list(table.problems)
    decisions: dict[int, Decision] = {}
    for place, values in table.rows:
        decision, problem = reader.read(place, values)
        if decision is None or problem:
            problems.append(f"{place}: {problem}")
        elif decision.row in decisions:
            problems.append(f"{place}: {cell(paths[decision.row])} is in {decisions[decision.row].place} already")
        else:
            decisions[decision.row] = decision
    if problems:
        more = f"\n  ... and {len(problems) - MAX_LISTED} more" if len(problems) > MAX_LISTED else ""
        listed = "".join(f"\n  {problem}" for problem in problems[:MAX_LISTED])
        raise DataError(f"{path}: {len(problems)} lines cannot be applied; nothing was written.{listed}{more}")
    return list(decisions.values())


@dataclass(frozen=True)
class _Reader:
    rows: Mapping[str, int]
    labels: Mapping[str, int]
    has_splits: bool

    def read(self, place: str, values: Mapping[str, Any]) -> tuple[Decision | None, str]:
        """Return the decision of a line, and the error in it or ""."""
        text = {column: str(values.get(column) or "").strip() for column in COLUMNS}
        row = self.rows.get(text["path"], self.rows.get(str(values.get("path") or "")))
        action = text["action"].lower()
        if row is None:
            return None, f"no image {text['path'] or '(empty)'}.{self._near(text['path'])}"
        if action not in ACTIONS:
            return None, f"action {text['action'] or '(empty)'} is none of {', '.join(ACTIONS)}"
        new_label, problem = self._label(text["new_label"]) if action == "relabel" else (-1, "")
        new_split = ""
        if action == "move":
            new_split, problem = self._split(text["new_split"])
        return Decision(place, row, action, new_label, new_split, text["group"]), problem

    def _near(self, text: str) -> str:
        return did_you_mean(text, self.rows) if len(self.rows) <= FEW_PATHS else ""

    def _label(self, text: str) -> tuple[int, str]:
        if not text:
            return -1, "relabel, but new_label is empty"
        if text not in self.labels:
            return -1, f"new_label {text} is not a class of the data.{did_you_mean(text, self.labels)}"
        return self.labels[text], ""

    def _split(self, text: str) -> tuple[str, str]:
        if not self.has_splits:
            return "", "move, but the data has no splits"
        split = SPLIT_OF.get(text.lower(), "")
        return split, "" if split else f"move, but new_split {text or '(empty)'} is not train, val or test"


def _has_lines(path: Path) -> bool:
    """Return whether there is a line below the header: all proposals may have been deleted."""
    try:
        return len([line for line in path.read_bytes().splitlines() if line.strip()]) != 1
    except OSError:
        return True  # `read_records` raises the error


def _by_cell(names: Sequence[str]) -> dict[str, int]:
    """Return the index of each name, by the name and by its cell in the plan."""
    return {name.strip(): i for i, name in enumerate(names)} | {cell(name).strip(): i for i, name in enumerate(names)}
