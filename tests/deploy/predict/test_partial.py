"""The unfinished table: which rows are safe, which are discarded, and what is refused."""

import json
from pathlib import Path

import pytest

from imgrec.deploy.predict.partial import PartialTable
from imgrec.errors import DataError, RunFolderError

KEY = {"model": "abc", "images": "def", "options": {"batch": 4}}


def table(output: Path, *, restart: bool = False, **changes: object) -> PartialTable:
    return PartialTable(output, key=KEY | changes, restart=restart)


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """A table of which two rows are safe and a third is not."""
    output = tmp_path / "t.csv"
    one = table(output)
    one.add(b"a\nb\n", {"images": 2})
    one.save()
    one._rows.write(b"half a ro")
    one.close()
    return output


def partial(output: Path) -> Path:
    return output.with_name("t.csv.partial")


def journal(output: Path) -> Path:
    return output.with_name("t.csv.partial.journal")


def test_nothing_is_under_the_final_name_before_the_last_row(tmp_path):
    output = tmp_path / "deep" / "t.csv"
    one = table(output)
    one.add(b"a\n", {"images": 1})
    assert not output.exists()
    one.publish()
    one.remove()
    assert output.read_bytes() == b"a\n"
    assert list(output.parent.iterdir()) == [output]


def test_the_same_command_resumes_after_the_last_safe_row(stopped):
    one = table(stopped)
    assert one.state == {"images": 2}
    one.add(b"c\n", {"images": 3})
    one.publish()
    one.remove()
    assert stopped.read_bytes() == b"a\nb\nc\n"


@pytest.mark.parametrize("end", [b'{"bytes": 4', b'{"bytes": 4{"bytes"}\n', b"\x00\x00\x00\n"])
def test_a_truncated_line_of_the_journal_is_skipped(stopped, end):
    with journal(stopped).open("ab") as file:
        file.write(end)
    one = table(stopped)
    assert one.state == {"images": 2}
    one.add(b"c\n", {"images": 3})
    one.save()
    one.close()
    again = table(stopped)
    assert again.state == {"images": 3}
    again.close()


def test_rows_that_ctrl_c_interrupted_are_not_counted(stopped):
    one = table(stopped)
    one._rows.write(b"c\n")  # then Ctrl-C, before the journal has it
    one.save()
    one.close()
    again = table(stopped)
    assert again.state == {"images": 2}
    again.close()
    assert partial(stopped).read_bytes() == b"a\nb\n"


@pytest.mark.parametrize(
    ("changes", "name"),
    [({"model": "other"}, "model"), ({"images": "x"}, "images"), ({"options": {"batch": 5}}, "options")],
)
def test_rows_of_another_command_are_refused_and_stay(stopped, changes, name):
    before = partial(stopped).read_bytes()
    with pytest.raises(DataError, match=rf"an interrupted run with other {name}\. .*--restart"):
        table(stopped, **changes)
    assert partial(stopped).read_bytes() == before
    one = table(stopped, restart=True, **changes)
    assert one.state == {}
    assert partial(stopped).read_bytes() == b""
    one.close()


def test_rows_that_were_changed_are_refused(stopped):
    partial(stopped).write_bytes(b"a\nX\n and more")
    with pytest.raises(DataError, match="changed or damaged"):
        table(stopped)
    partial(stopped).write_bytes(b"a")
    with pytest.raises(DataError, match="changed or damaged"):
        table(stopped)


@pytest.mark.parametrize("first", [b"no json\n", b'{"format": "2", "key": {}}\n', b"[]\n"])
def test_a_journal_of_something_else_is_refused(stopped, first):
    journal(stopped).write_bytes(first + b"x\n")
    with pytest.raises(DataError, match="changed or damaged"):
        table(stopped)


def test_rows_of_the_older_columns_cannot_be_resumed(stopped):
    text = journal(stopped).read_text()
    journal(stopped).write_text(text.replace('{"format": 2', '{"format": 1', 1))
    with pytest.raises(
        DataError, match=r"columns of another version of imgrec, which cannot be resumed\. Add --restart"
    ):
        table(stopped)
    assert partial(stopped).read_bytes() == b"a\nb\nhalf a ro"
    one = table(stopped, restart=True)
    assert one.state == {}
    one.close()


def test_a_journal_without_one_good_line_is_refused(stopped):
    lines = journal(stopped).read_bytes().splitlines()
    journal(stopped).write_bytes(lines[0] + b"\nx\n")
    with pytest.raises(DataError, match="changed or damaged"):
        table(stopped)


def test_rows_without_a_journal_are_not_touched(tmp_path):
    output = tmp_path / "t.csv"
    partial(output).write_bytes(b"mine")
    with pytest.raises(DataError, match="without its journal"):
        table(output)
    assert partial(output).read_bytes() == b"mine"


def test_a_start_without_a_safe_row_begins_again(tmp_path):
    output = tmp_path / "t.csv"
    table(output).close()
    one = table(output)
    assert one.state == {}
    one.close()
    assert len(journal(output).read_bytes().splitlines()) == 1


def test_two_processes_do_not_write_one_table(stopped):
    one = table(stopped)
    with pytest.raises(DataError, match="Another process is writing"):
        table(stopped)
    one.close()


def test_the_journal_holds_the_key_and_how_far_rows_are_safe(stopped):
    lines = [json.loads(line) for line in journal(stopped).read_text().splitlines()]
    assert lines[0] == {"format": 2, "key": KEY}
    assert {key: lines[1][key] for key in ("bytes", "state")} == {"bytes": 4, "state": {"images": 2}}


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="Cannot write"):
        table(tmp_path / "file" / "t.csv")


def test_a_link_in_the_place_of_the_rows_is_not_followed(tmp_path):
    (tmp_path / "secret").write_text("secret")
    partial(tmp_path / "t.csv").symlink_to(tmp_path / "secret")
    with pytest.raises((DataError, RunFolderError, OSError)):
        table(tmp_path / "t.csv", restart=True)
    assert (tmp_path / "secret").read_text() == "secret"
