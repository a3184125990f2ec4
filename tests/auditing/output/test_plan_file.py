"""plan.csv: safe in a spreadsheet, the same after a round trip, and refused with line numbers."""

import csv
import io
from pathlib import Path

import pytest

from audit_data import make_audit, make_facts, suspect
from imgrec.auditing.output.plan import Proposal, propose
from imgrec.auditing.output.plan_file import COLUMNS, Decision, cell, read_plan, write_plan
from imgrec.errors import DataError

STRANGE = [
    "=cmd|' /C calc'!A0.png",
    "+1+1.png",
    "-2.png",
    "@SUM(A1).png",
    "a\nb.png",
    'quote"d, and comma;.png',
    "caf\\udce9.png",  # how a name that is not UTF-8 arrives here
    "\N{RIGHT-TO-LEFT OVERRIDE}gnp.a",
    " leading.png",
    "ünï.png",
    "'quoted.png",
]
CLASSES = ["cat", "=dog()"]


def audit_of(names: list[str]):
    return make_audit(make_facts([("all", name, 0) for name in names], class_names=CLASSES))


def plan_of(names: list[str], *, new_label: int = 1) -> bytes:
    lines = [Proposal(row, "review", "outlier", "looks odd", 0.5, new_label=new_label) for row in range(len(names))]
    return write_plan(audit_of(names), lines)


def cells(plan: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(plan.decode("utf-8-sig"), newline="")))


def read(path: Path, text: str | bytes, *, paths=("a.png", "b.png"), splits=("train", "test")) -> list[Decision]:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_plan(path, paths=paths, class_names=CLASSES, splits=splits)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "plan.csv"


def test_a_plan_begins_with_the_mark_that_tells_excel_utf_8():
    assert plan_of(["ünï.png"]).startswith(b"\xef\xbb\xbfpath,action,")


def test_no_cell_is_a_formula_and_each_image_is_one_line():
    plan = plan_of(STRANGE)
    rows = cells(plan)
    assert len(plan.splitlines()) == len(STRANGE) + 1
    assert not [text for row in rows for text in row if text.startswith(("=", "+", "-", "@", "\t", "\r"))]


def test_a_negative_number_stays_a_number():
    assert [cell("-1"), cell("+2.5e3"), cell("-1+1")] == ["-1", "+2.5e3", "'-1+1"]


def test_strange_names_survive_the_round_trip(file):
    read_back = read(file, plan_of(STRANGE), paths=STRANGE, splits=["all"])
    assert [one.row for one in read_back] == list(range(len(STRANGE)))


def test_a_strange_class_survives_the_round_trip(file):
    plan = plan_of(["a.png"]).replace(b"review", b"relabel")
    assert read(file, plan)[0].new_label == 1


def test_what_a_spreadsheet_does_to_a_file_is_understood(file):
    """Semicolons (as in much of Europe), carriage returns, blank lines at the end, other columns beside."""
    text = "\ufeffpath;action;comment\r\na.png;Remove;seen\r\nb.png; KEEP ;\r\n;;\r\n"
    assert [(one.row, one.action) for one in read(file, text)] == [(0, "remove"), (1, "keep")]


def test_a_plan_without_lines_decides_nothing(file):
    assert read(file, "path,action\n") == []


def test_what_lines_say_is_read(file):
    text = "path,action,new_label,new_split,group\na.png,relabel,cat,,duplicates-0001\nb.png,move,,validation,\n"
    assert read(file, text) == [
        Decision("line 2", 0, "relabel", new_label=0, group="duplicates-0001"),
        Decision("line 3", 1, "move", new_split="val"),
    ]


def test_every_problem_is_named_with_its_line(file):
    text = (
        "path,action,new_label,new_split\n"
        "c.png,remove,,\n"
        "a.png,delete,,\n"
        "a.png,relabel,bird,\n"
        "a.png,relabel,,\n"
        "a.png,move,,outer\n"
        "a.png,remove\n"
        "a.png,remove,,\n"
        "a.png,keep,,\n"
    )
    with pytest.raises(DataError) as error:
        read(file, text)
    message = str(error.value)
    assert "7 lines cannot be applied" in message
    for problem in (
        "line 2: no image c.png. Did you mean",
        "line 3: action delete is none of remove, relabel, move, review, keep",
        "line 4: new_label bird is not a class",
        "line 5: relabel, but new_label is empty",
        "line 6: move, but new_split outer is not train, val or test",
        "line 7: 2 fields, but the header has 4",
        "line 9: a.png is in line 8 already",
    ):
        assert problem in message


def test_a_long_list_of_problems_is_cut(file):
    text = "path,action\n" + "".join(f"x{i},keep\n" for i in range(50))
    with pytest.raises(DataError, match=r"50 lines .*(\n.*)+and 30 more"):
        read(file, text)


def test_nothing_can_be_moved_where_there_are_no_splits(file):
    with pytest.raises(DataError, match="the data has no splits"):
        read(file, "path,action,new_split\na.png,move,test\n", splits=["all"])


def test_a_file_that_is_no_plan_is_refused(file):
    with pytest.raises(DataError, match="no column action"):
        read(file, "path,label\na.png,cat\n")


def test_a_missing_plan_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_plan(tmp_path / "plan.csv", paths=["a.png"], class_names=CLASSES, splits=["all"])


def test_the_plan_has_label_split_and_suggestion():
    facts = make_facts([("train", "a.png", 0), ("test", "b.png", 1)])
    rows = cells(write_plan(audit := make_audit(facts, more=[suspect(0, label=1)]), propose(audit)))
    assert dict(zip(COLUMNS, rows[1], strict=True)) == {
        "path": "a.png",
        "action": "review",
        "reason": "suspected label error",
        "evidence": "labelled cat, looks like dog",
        "confidence": "0.900",
        "label": "cat",
        "new_label": "dog",
        "split": "train",
        "new_split": "",
        "group": "",
    }
