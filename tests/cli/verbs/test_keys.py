"""`imgrec keys`: what is typed and what is printed."""

import re
import stat
import sys
from pathlib import Path

import pytest

from imgrec.cli.verbs.keys import main, read_rate, read_time
from imgrec.errors import ConfigError, DataError
from imgrec.serve.access.audit_log import AuditLog
from imgrec.serve.access.keys import digest, read_keys


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def keys(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["keys", *arguments])
    main()


def test_a_key_is_printed_alone_and_once(monkeypatch, capsys, path):
    arguments = ["--models", "lung,skin", "--expires", "30d", "--rate", "10/s", "--daily", "1000", "--output", "label"]
    keys(monkeypatch, "add", "--name", "clinic", "--scope", "predict,explain", *arguments, "--keys", str(path))
    printed = capsys.readouterr()
    (kept,) = read_keys(path)
    assert digest(printed.out.strip()) == kept.digest
    assert printed.out.strip() not in printed.err
    assert (kept.scopes, kept.models, kept.rate, kept.daily) == (
        ("predict", "explain"),
        ("lung", "skin"),
        (10, 1.0),
        1000,
    )
    assert kept.expires is not None
    assert round(kept.expires - kept.created, -1) == 30 * 86_400
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_list_shows_everything_but_the_keys(monkeypatch, capsys, path):
    keys(monkeypatch, "list", "--keys", str(path))
    assert "No keys in" in capsys.readouterr().out
    for name in ("clinic", "lab"):
        keys(monkeypatch, "add", "--name", name, "--scope", "predict", "--rate", "100/min", "--keys", str(path))
    secrets = capsys.readouterr().out.split()
    first = read_keys(path)[0]
    keys(monkeypatch, "revoke", first.id, "--keys", str(path))
    assert capsys.readouterr().out == f"Key {first.id} of clinic is revoked.\n"
    keys(monkeypatch, "list", "--keys", str(path))
    head, one, two = capsys.readouterr().out.splitlines()
    assert head.split() == ["id", "name", "scopes", "models", "rate", "daily", "output", "state"]
    assert re.match(rf"{first.id}  clinic  predict  all     100/min  -      -       revoked 20", one)
    assert two.endswith("valid")
    assert not any(secret.split("_", 2)[2] in one + two for secret in secrets)


def test_a_log_is_checked(monkeypatch, capsys, tmp_path):
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path)
    for number in range(3):
        log.add({"who": f"key:{number}"})
    log.close()
    keys(monkeypatch, "verify-log", str(path), "--head", log.head.hash)
    assert capsys.readouterr().out == f"{path}: 3 lines, none changed or removed. Last hash: {log.head.hash}\n"
    path.write_text(path.read_text().replace("key:1", "key:7"))
    with pytest.raises(DataError, match="line 2 was changed"):
        keys(monkeypatch, "verify-log", str(path))


@pytest.mark.parametrize(("text", "rate"), [("10/s", (10, 1.0)), ("100/min", (100, 60.0)), ("9/h", (9, 3600.0))])
def test_a_rate_is_requests_in_a_unit_of_time(text, rate):
    assert read_rate(text) == rate


@pytest.mark.parametrize("text", ["", "10", "10/", "0/s", "-1/s", "1.5/s", "10/year", "10 / s", "9999999999/s"])
def test_any_other_rate_is_refused(text):
    with pytest.raises(ConfigError, match="--rate"):
        read_rate(text)


def test_a_time_is_from_now_or_a_date():
    assert read_time("30d", now=0.0) == 30 * 86_400
    assert read_time("12h", now=5.0) == 12 * 3600 + 5
    assert read_time("1970-01-02", now=0.0) == 86_400
    assert read_time("1970-01-02T00:00:00+01:00", now=0.0) == 86_400 - 3600


@pytest.mark.parametrize("text", ["", "soon", "0d", "-1d", "30", "2027-13-01", "1970-01-01", "99999999d"])
def test_any_other_time_is_refused(text):
    with pytest.raises(ConfigError, match="--expires"):
        read_time(text, now=10.0)


def test_invalid_arguments_are_refused(monkeypatch, path):
    for arguments, message in (([], "Say what to do"), (["add"], "required"), (["ad"], "invalid choice")):
        with pytest.raises(ConfigError, match=message):
            keys(monkeypatch, *arguments)
