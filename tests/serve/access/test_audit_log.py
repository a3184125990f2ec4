"""The record of who asked what: any change shows."""

import json
import os
from pathlib import Path

import pytest

from imgrec.errors import ConfigError, DataError
from imgrec.serve.access.audit_log import START, AuditLog, Head, verify_log


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "audit.jsonl"
    write(path, 8)
    return path


def write(path: Path, lines: int) -> Head:
    writer = AuditLog(path)
    for number in range(lines):
        writer.add({"who": f"key:{number}", "outcome": "ok"})
    writer.close()
    return writer.head


def test_a_log_that_nobody_touched_verifies(log: Path):
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert verify_log(log) == Head(8, lines[-1]["hash"])
    assert lines[0]["previous"] == START
    assert [line["n"] for line in lines] == list(range(1, 9))


def test_the_chain_goes_on_after_a_restart(log: Path):
    assert write(log, 5).lines == 13
    assert verify_log(log).lines == 13


@pytest.mark.parametrize("place", range(8))
def test_one_removed_line_is_found_the_last_one_too(log: Path, place: int):
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:place] + lines[place + 1 :]))
    with pytest.raises(DataError, match=f"line {place + 1} does not follow|lines were removed from its end"):
        verify_log(log)


@pytest.mark.parametrize("place", range(8))
def test_one_changed_line_is_found(log: Path, place: int):
    lines = log.read_text().splitlines(keepends=True)
    lines[place] = lines[place].replace('"outcome":"ok"', '"outcome":"no"')
    log.write_text("".join(lines))
    with pytest.raises(DataError, match=f"line {place + 1} was changed"):
        verify_log(log)


def test_a_changed_line_with_a_new_hash_of_its_own_is_found_at_the_next(log: Path):
    lines = log.read_text().splitlines(keepends=True)
    forged = AuditLog(log.with_name("forged"))
    forged.add({"who": "key:0", "outcome": "no"})
    lines[0] = log.with_name("forged").read_text()
    log.write_text("".join(lines))
    with pytest.raises(DataError, match="line 2 does not follow"):
        verify_log(log)


@pytest.mark.parametrize("extra", [b"{}\n", b"\n", b"nonsense\n", b"[1]\n", b"\xff\n", b'{"n":9}\n'])
def test_an_added_line_is_found(log: Path, extra: bytes):
    with log.open("ab") as file:
        file.write(extra)
    with pytest.raises(DataError, match="line 9"):
        verify_log(log)


def test_two_lines_that_changed_places_are_found(log: Path):
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join([lines[1], lines[0], *lines[2:]]))
    with pytest.raises(DataError, match="line 1 does not follow"):
        verify_log(log)


def test_a_line_that_says_one_thing_twice_is_found(log: Path):
    text = log.read_text().replace('{"n":1,', '{"who":"key:9","n":1,', 1)
    log.write_text(text)
    with pytest.raises(DataError, match="line 1 was changed"):
        verify_log(log)


def test_the_whole_log_emptied_is_found(log: Path):
    log.write_bytes(b"")
    with pytest.raises(DataError, match="has 0 lines, but had 8"):
        verify_log(log)


def test_a_log_whose_end_was_taken_off_is_not_gone_on_with(log: Path):
    log.write_bytes(b"")
    with pytest.raises(DataError, match="has 0 lines, but had 8"):
        AuditLog(log)


def test_a_head_copied_elsewhere_finds_a_chain_made_again(log: Path):
    head = verify_log(log).hash
    assert verify_log(log, head=head).lines == 8
    for path in (log, log.with_name("audit.jsonl.head")):
        path.unlink()
    write(log, 8)
    assert verify_log(log).lines == 8
    with pytest.raises(DataError, match="lines were added or removed since"):
        verify_log(log, head=head)


def test_a_missing_head_is_said(log: Path):
    log.with_name("audit.jsonl.head").unlink()
    with pytest.raises(DataError, match="is missing or damaged"):
        verify_log(log)


def test_a_server_killed_between_its_two_writes_leaves_a_good_log(log: Path):
    head = log.with_name("audit.jsonl.head")
    before = head.read_bytes()
    write(log, 1)
    head.write_bytes(before)
    assert verify_log(log).lines == 9


def test_a_line_cut_short_by_a_kill_is_taken_off_at_the_next_start(log: Path):
    with log.open("ab") as file:
        file.write(b'{"n":9,"time":"20')
    assert write(log, 1).lines == 9
    assert verify_log(log).lines == 9


def test_a_log_longer_than_one_piece_goes_on(tmp_path: Path):
    path = tmp_path / "audit.jsonl"
    writer = AuditLog(path)
    writer.add({"who": "x" * 200_000})
    writer.close()
    assert write(path, 1).lines == 2
    assert verify_log(path).lines == 2


def test_two_servers_cannot_write_one_log(tmp_path: Path):
    first = AuditLog(tmp_path / "audit.jsonl")
    with pytest.raises(ConfigError, match="Another server writes"):
        AuditLog(tmp_path / "audit.jsonl")
    first.close()


def test_another_file_is_not_written_to(tmp_path: Path):
    path = tmp_path / "notes.txt"
    path.write_text("my notes\n")
    with pytest.raises(ConfigError, match="is not an audit log"):
        AuditLog(path)
    assert path.read_text() == "my notes\n"


def test_a_line_that_cannot_be_written_whole_is_an_error_and_leaves_the_log_whole(
    log: Path, monkeypatch: pytest.MonkeyPatch
):
    writer = AuditLog(log)
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, data: real(file, data[:10]))
    with pytest.raises(OSError, match="could not be written whole"):
        writer.add({"who": "key:1"})
    monkeypatch.setattr(os, "write", real)
    writer.add({"who": "key:2"})
    writer.close()
    assert verify_log(log).lines == 9


def test_nobody_else_may_read_the_log(log: Path):
    assert {file.stat().st_mode & 0o777 for file in log.parent.iterdir()} == {0o600}


def test_a_log_that_is_not_there_is_said(tmp_path: Path):
    with pytest.raises(DataError, match="Cannot read"):
        verify_log(tmp_path / "none.jsonl")
