"""`imgrec audit`: from a folder to a report, a plan, a clean table, and an exit code."""

import contextlib
import csv
import json
import sqlite3
import sys
from pathlib import Path

import pytest

from audit_data import write_leaking_photos
from imgrec.cli.verbs import audit as verb
from imgrec.core.system.progress_line import ProgressLine
from imgrec.data.sources.table import list_table
from imgrec.errors import ConfigError, DataError


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run `imgrec audit ARGUMENTS` in this process, and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["audit.py", *arguments])
    try:
        verb.main()
    except SystemExit as end:
        assert isinstance(end.code, int)
        return end.code
    return 0


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two splits and one image in both of them; the present folder is the one above."""
    monkeypatch.chdir(tmp_path)
    return write_leaking_photos(tmp_path)


def lines(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_from_a_folder_to_a_report_a_plan_and_a_clean_table(photos, monkeypatch, capsys):
    assert run(monkeypatch, "photos", "--no-labels", "--workers", "1") == 1
    assert "Exact duplicates across splits (leaks)" in capsys.readouterr().out
    assert {"audit.html", "audit.json", "plan.csv"} <= {path.name for path in Path("audit").iterdir()}
    assert [(one["path"], one["action"]) for one in lines(Path("audit/plan.csv"))] == [
        ("test/dog/leak.png", "keep"),
        ("train/dog/1.png", "remove"),
    ]
    before = {path: path.read_bytes() for path in photos.rglob("*.png")}
    assert run(monkeypatch, "photos", "--apply", "audit/plan.csv", "--output", "clean.csv") == 0
    overrides = "data=table data.path=clean.csv data.split_column=split data.group_column=group"
    assert overrides in capsys.readouterr().out
    assert before == {path: path.read_bytes() for path in photos.rglob("*.png")}
    parts = list_table(path="clean.csv", split_column="split", group_column="group").parts
    assert {name: len(part) for name, part in parts.items()} == {"train": 7, "test": 9}
    assert "photos/train/dog/1.png" not in parts["train"].names
    assert run(monkeypatch, "clean.csv", "data.split_column=split", "--no-labels", "--output", "again") == 0


def test_the_exit_code_follows_the_severity_chosen(photos, monkeypatch):
    (photos / "test/dog/leak.png").unlink()
    codes = {
        level: run(monkeypatch, "photos", "--no-labels", "--fail-on", level) for level in ("error", "never", "info")
    }
    assert codes == {"error": 0, "never": 0, "info": 1}  # fewer than 10 images of a class are a warning


def test_two_audits_leave_the_same_bytes(photos, monkeypatch):
    run(monkeypatch, "photos", "--no-labels", "--workers", "1", "--output", "one")
    run(monkeypatch, "photos", "--no-labels", "--workers", "2", "--output", "two")
    for name in ("audit.json", "plan.csv"):
        assert Path("one", name).read_bytes() == Path("two", name).read_bytes()


def test_an_edited_plan_is_kept_by_the_next_audit_and_an_unedited_one_is_not(photos, monkeypatch):
    run(monkeypatch, "photos", "--no-labels")
    run(monkeypatch, "photos", "--no-labels")
    assert not Path("audit/plan-1.csv").exists()
    edited = Path("audit/plan.csv").read_text(encoding="utf-8-sig").replace("remove", "keep")
    Path("audit/plan.csv").write_text(edited)
    run(monkeypatch, "photos", "--no-labels")
    assert Path("audit/plan-1.csv").read_text() == edited
    assert lines(Path("audit/plan.csv"))[1]["action"] == "remove"


def test_a_bad_plan_is_refused_whole_and_nothing_is_written(photos, monkeypatch):
    Path("plan.csv").write_text("path,action\ntrain/cat/0.png,delete\nno/such.png,keep\n")
    with pytest.raises(DataError, match=r"2 lines[^\n]*\n  line 2: [^\n]*\n  line 3: "):
        run(monkeypatch, "photos", "--apply", "plan.csv", "--output", "clean.csv")
    assert not Path("clean.csv").exists()


def test_a_table_is_replaced_only_on_request(photos, monkeypatch):
    Path("plan.csv").write_text("path,action\ntrain/cat/0.png,remove\n")
    Path("clean.csv").write_text("mine")
    arguments = ("photos", "--apply", "plan.csv", "--output", "clean.csv")
    with pytest.raises(DataError, match=r"clean\.csv exists.*--overwrite"):
        run(monkeypatch, *arguments)
    assert Path("clean.csv").read_text() == "mine"
    assert run(monkeypatch, *arguments, "--overwrite") == 0
    assert "train/cat/1.png" in Path("clean.csv").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["photos", "--output", "photos/audit"], "is inside the data"),
        ([], "Name the data"),
        (["photos", "photos"], "One folder or table at a time"),
        (["photos", "--fail-on", "worst"], "--fail-on"),
        (["photos", "--workers", "0"], "1 or more"),
        (["photos", "--weights", "x.pth"], "--features"),
        (["photos", "--apply", "plan.csv"], "--output clean.csv"),
        (["photos", "--apply", "plan.csv", "--output", "clean.xlsx"], r"\.csv or \.jsonl"),
        (["photos", "--flag"], "--flag"),
    ],
)
def test_an_invalid_command_is_a_config_error(arguments, message, photos, monkeypatch):
    with pytest.raises(ConfigError, match=message):
        run(monkeypatch, *arguments)


def test_a_folder_without_images_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/notes.txt").write_text("x")
    with pytest.raises(DataError, match="no image"):
        run(monkeypatch, str(tmp_path / "empty"), "--output", str(tmp_path / "out"))


def test_an_interrupted_audit_resumes(photos, monkeypatch, capsys):
    def stop(line: ProgressLine, done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with monkeypatch.context() as interrupted:
        interrupted.setattr(ProgressLine, "update", stop)
        assert run(interrupted, "photos", "--no-labels", "--workers", "1") == 130
    assert "Run the same command again to resume" in capsys.readouterr().err
    assert [path.name for path in Path("audit").iterdir()] == ["facts.sqlite"]
    assert num_kept(Path("audit/facts.sqlite")) >= 4
    run(monkeypatch, "photos", "--no-labels", "--workers", "1")
    run(monkeypatch, "photos", "--no-labels", "--workers", "1", "--output", "unbroken")
    assert Path("audit/audit.json").read_bytes() == Path("unbroken/audit.json").read_bytes()


def num_kept(store: Path) -> int:
    with contextlib.closing(sqlite3.connect(store)) as database:
        [[table]] = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return int(database.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "exact", "leaks"), [("brain_mri", 22, 0), ("flowers8", 1, 1)])
def test_duplicates_of_real_data_are_found(name, exact, leaks, shared_data, tmp_path, monkeypatch):
    run(monkeypatch, str(shared_data / name), "--no-labels", "--output", str(tmp_path / "out"))
    found = json.loads((tmp_path / "out/audit.json").read_text())
    assert len(found["exact_duplicates"]) == exact
    assert len(found["leaks"]["exact"]) == leaks
