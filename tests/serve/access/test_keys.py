"""API keys: made, kept, found and revoked."""

import hashlib
import json
import os
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from imgrec.errors import ConfigError
from imgrec.serve.access.key_ring import KeyRing
from imgrec.serve.access.keys import add_key, default_keys_path, find_key, key_id, read_keys, revoke_key


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_a_key_has_256_random_bits_and_its_id_in_front(path: Path):
    key, secret = add_key(path, name="clinic", scopes=["predict"])
    prefix, number, random = secret.split("_", 2)
    assert (prefix, number) == ("imgrec", key.id)
    assert len(random) == 43  # 32 bytes in base64 without padding
    assert add_key(path, name="clinic", scopes=["predict"])[1] != secret


def test_the_file_holds_the_sha256_of_a_key_and_not_the_key(path: Path):
    key, secret = add_key(path, name="clinic", scopes=["predict"])
    assert secret not in path.read_text()
    assert secret.split("_", 2)[2] not in path.read_text()
    assert key.digest == hashlib.sha256(secret.encode()).hexdigest()
    assert key.digest in path.read_text()


def test_only_its_owner_may_read_the_file_and_the_lock(path: Path):
    add_key(path, name="clinic", scopes=["predict"])
    assert [stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()] == [0o600, 0o600]


def test_what_was_asked_for_is_kept(path: Path):
    key, _ = add_key(
        path,
        name="clinic",
        scopes=["predict", "explain"],
        expires=2e9,
        models=["lung", "skin"],
        rate=(10, 1.0),
        daily=1000,
        output="label",
    )
    assert read_keys(path) == [key]
    assert (key.models, key.rate, key.daily, key.output) == (("lung", "skin"), (10, 1.0), 1000, "label")


def test_keys_added_at_the_same_time_are_all_kept(path: Path):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda number: add_key(path, name=f"n{number}", scopes=["predict"])[0], range(16)))
    assert {key.id for key in read_keys(path)} == {key.id for key in made}


def test_a_revoked_key_is_kept_and_not_valid(path: Path):
    key, _ = add_key(path, name="clinic", scopes=["predict"])
    revoked = revoke_key(path, key.id)
    assert not revoked.is_valid(time.time())
    assert revoke_key(path, key.id).revoked == revoked.revoked


def test_an_expired_key_is_not_valid(path: Path):
    key, _ = add_key(path, name="clinic", scopes=["predict"], expires=1000.0)
    assert key.is_valid(999.9)
    assert not key.is_valid(1000.0)


def test_a_key_is_found_by_all_of_it(path: Path):
    key, secret = add_key(path, name="clinic", scopes=["predict"])
    keys = {key.id: key}
    assert find_key(keys, secret) == key
    for wrong in (secret[:-1], secret + "x", secret[:-1] + "~", f"imgrec_{key.id}_", f"imgrec_00000000_{secret[16:]}"):
        assert find_key(keys, wrong) is None
    for odd in ("", "_", "imgrec", "imgrec_", "\udc80", "a" * 100_000):
        assert find_key(keys, odd) is None


def test_the_id_is_read_from_keys_of_our_form_alone():
    assert key_id("imgrec_0a1b_x_y") == "0a1b"
    assert [key_id(text) for text in ("other_0a1b_x", "imgrec_0a1b", "")] == ["", "", ""]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"scopes": ["predikt"]}, "--scope 'predikt' is not known. Known: predict, explain, metrics, admin"),
        ({"scopes": []}, "--scope"),
        ({"name": ""}, "--name"),
        ({"name": "a\nb"}, "--name"),
        ({"models": [""]}, "--models"),
        ({"output": "all"}, "--output 'all' is not known"),
        ({"daily": 0}, "--daily 0"),
    ],
)
def test_a_value_that_does_not_fit_is_said_and_nothing_is_kept(path: Path, given: dict[str, object], message: str):
    with pytest.raises(ConfigError, match=message):
        add_key(path, **{"name": "clinic", "scopes": ["predict"], **given})  # type: ignore[arg-type]
    assert not path.exists()


def test_revoking_what_is_not_there_says_so(path: Path):
    with pytest.raises(ConfigError, match="has no key with the id 'nobody'"):
        revoke_key(path, "nobody")


def test_no_file_is_no_keys(path: Path):
    assert read_keys(path) == []


def test_a_file_that_others_may_read_is_refused(path: Path):
    add_key(path, name="clinic", scopes=["predict"])
    path.chmod(0o644)
    with pytest.raises(ConfigError, match=r"may be read or changed by others \(644\). chmod 600"):
        read_keys(path)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"format": 1}', '{"format": 1, "keys": [{}]}', '{"format": 1, "keys": 7}']
)
def test_a_damaged_file_is_refused(path: Path, content: str):
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="is not a list of keys"):
        read_keys(path)


@pytest.mark.parametrize(
    "change", [{"expires": "2027-01-01"}, {"daily": "5"}, {"revoked": False}, {"output": "all"}, {"digest": None}]
)
def test_a_value_that_was_written_by_hand_and_does_not_fit_is_found_when_the_file_is_read(path: Path, change: dict):
    add_key(path, name="clinic", scopes=["predict"])
    content = json.loads(path.read_text())
    content["keys"][0] |= change
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match="is not a list of keys"):
        read_keys(path)


def test_a_newer_format_is_refused_by_its_number(path: Path):
    path.write_text(json.dumps({"format": 2, "keys": []}))
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="has format 2; this imgrec reads 1"):
        read_keys(path)


def test_a_link_is_not_followed(path: Path, tmp_path: Path):
    add_key(tmp_path / "other.json", name="clinic", scopes=["predict"])
    path.symlink_to(tmp_path / "other.json")
    with pytest.raises(ConfigError, match="Cannot read the keys"):
        read_keys(path)


def test_the_place_of_the_keys_can_be_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("IMGREC_KEYS", raising=False)
    assert default_keys_path() == tmp_path / "imgrec" / "keys.json"
    monkeypatch.setenv("IMGREC_KEYS", str(tmp_path / "mine.json"))
    assert default_keys_path() == tmp_path / "mine.json"


# As a running server knows them


def test_a_running_server_knows_a_new_key_and_a_revoked_one_at_the_next_request(path: Path):
    ring = KeyRing(path)
    assert not ring.is_needed
    key, secret = add_key(path, name="clinic", scopes=["predict"])
    assert ring.find(secret) == key
    assert ring.is_needed
    revoke_key(path, key.id)
    found = ring.find(secret)
    assert found is not None
    assert not found.is_valid(time.time())
    assert ring.is_needed
    assert not ring.has_valid_key(time.time())


@pytest.mark.parametrize("harm", [lambda path: path.write_text("{"), os.unlink, lambda path: path.chmod(0o640)])
def test_a_file_that_is_harmed_while_the_server_runs_gives_no_key_and_opens_nothing(
    path: Path, harm: object, capsys: pytest.CaptureFixture[str]
):
    _, secret = add_key(path, name="clinic", scopes=["predict"])
    ring = KeyRing(path)
    harm(path)  # type: ignore[operator]
    assert ring.find(secret) is None
    assert ring.is_needed
