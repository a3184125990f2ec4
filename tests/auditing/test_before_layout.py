"""An audit folder and a plan that version 0.1.0 wrote before the modules moved: they are still read."""

import csv
import json
import shutil
from pathlib import Path

import pytest

import imgrec
from imgrec.auditing.apply_plan import apply_plan

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "before_layout"
EXPECTED = json.loads((FIXTURES / "expected.json").read_text())["audit"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the data and of its audit folder, in the working directory."""
    for name in ("audited", "audit"):
        shutil.copytree(FIXTURES / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_plan_gives_the_same_table(folder):
    table = apply_plan("audit/plan.csv", ["audited"], output="clean.csv")
    assert Path("clean.csv").read_bytes() == (FIXTURES / "clean.csv").read_bytes()
    assert table.counts["kept"] == EXPECTED["clean_rows"]


def test_the_audit_finds_the_same(folder):
    found = imgrec.audit("audited", workers=1)
    assert len(found.facts) == EXPECTED["num_files"]
    assert [found.count(severity) for severity in ("error", "warning", "info")] == [
        EXPECTED["num_errors"],
        EXPECTED["num_warnings"],
        EXPECTED["num_infos"],
    ]
    assert found.fingerprint == json.loads((FIXTURES / "audit/audit.json").read_text())["fingerprint"]
    renamed = {"torn_groups": "leaking_groups"}
    counts = {one.key: len(one.cases) for one in found.sections if "." not in one.key}
    before = {renamed.get(key, key): count for key, count in EXPECTED["findings"].items()}
    assert counts.items() <= before.items()


def test_an_unedited_plan_is_replaced_and_an_edited_one_is_kept(folder):
    imgrec.audit("audited", output="audit", workers=1, labels=False)
    assert not Path("audit/plan-1.csv").exists()
    shutil.copy(FIXTURES / "audit/audit.json", "audit/audit.json")
    edited = (FIXTURES / "audit/plan.csv").read_bytes().replace(b",remove,", b",keep,")
    Path("audit/plan.csv").write_bytes(edited)
    imgrec.audit("audited", output="audit", workers=1, labels=False)
    assert Path("audit/plan-1.csv").read_bytes() == edited
    with Path("audit/plan.csv").open(encoding="utf-8-sig", newline="") as file:
        assert len(list(csv.DictReader(file))) == EXPECTED["plan_rows"] - 1  # the suspected label is not looked for
