"""Who gets in."""

from pathlib import Path

import pytest

from imgrec.serve.access.gate import ANYBODY, Gate
from imgrec.serve.access.key_ring import KeyRing
from imgrec.serve.access.keys import add_key, revoke_key
from imgrec.serve.access.throttle import Throttle
from imgrec.serve.access.tokens import TokenReader
from imgrec.serve.http.refusals import Refusal
from signed_tokens import SECRET, claims, settings, signed


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def code(gate: Gate, credential: str | None, address: str = "10.0.0.1") -> str:
    with pytest.raises(Refusal) as caught:
        gate.identify(credential, address=address)
    return caught.value.code


def test_without_keys_everybody_may_do_everything(path: Path):
    gate = Gate(KeyRing(path))
    assert gate.is_open
    assert gate.identify(None, address="127.0.0.1") is ANYBODY
    assert gate.identify("nonsense", address="127.0.0.1") is ANYBODY


def test_a_key_brings_what_it_was_made_for(path: Path):
    key, secret = add_key(path, name="c", scopes=["predict"], models=["lung"], rate=(5, 1.0), daily=9, output="label")
    caller = Gate(KeyRing(path)).identify(secret, address="10.0.0.1")
    assert (caller.id, caller.rate, caller.daily, caller.output) == (f"key:{key.id}", (5, 1.0), 9, "label")
    assert [caller.may(scope) for scope in ("predict", "explain", "metrics", "admin")] == [True, False, False, False]
    assert [caller.may_use(model) for model in ("lung", "skin")] == [True, False]


def test_an_admin_may_do_everything(path: Path):
    _, secret = add_key(path, name="c", scopes=["admin"])
    caller = Gate(KeyRing(path)).identify(secret, address="10.0.0.1")
    assert all(caller.may(scope) for scope in ("predict", "explain", "metrics", "admin"))


def test_missing_unknown_wrong_expired_and_revoked_are_refused_alike(path: Path):
    _, right = add_key(path, name="a", scopes=["predict"])
    _, expired = add_key(path, name="b", scopes=["predict"], expires=1.0)
    key, revoked = add_key(path, name="c", scopes=["predict"])
    revoke_key(path, key.id)
    gate = Gate(KeyRing(path))
    wrong = right[:-1] + ("a" if right[-1] != "a" else "b")
    for credential in (None, "", "imgrec_00000000_x", wrong, expired, revoked):
        assert code(gate, credential) == "unauthorized"


def test_a_key_expires_while_the_server_runs(path: Path):
    now = [100.0]
    _, secret = add_key(path, name="a", scopes=["predict"], expires=200.0)
    gate = Gate(KeyRing(path), now=lambda: now[0])
    assert gate.identify(secret, address="10.0.0.1")
    now[0] = 200.0
    assert code(gate, secret) == "unauthorized"


def test_ten_wrong_keys_a_minute_then_no_more_are_looked_at(path: Path):
    now = [0.0]
    _, right = add_key(path, name="a", scopes=["predict"])
    gate = Gate(KeyRing(path), wrong=Throttle(lambda: now[0]))
    assert [code(gate, f"wrong{number}") for number in range(12)] == ["unauthorized"] * 10 + ["too_many_wrong_keys"] * 2
    assert code(gate, "wrong", address="10.0.0.2") == "unauthorized"
    assert gate.identify(right, address="10.0.0.1"), "a right key passes, whatever its neighbours try"
    assert code(gate, None) == "unauthorized", "no key is no wrong key"
    now[0] = 60.0
    assert code(gate, "wrong") == "unauthorized"


def test_tokens_get_in_beside_keys_and_wrong_ones_count(path: Path, tmp_path: Path):
    tokens = TokenReader(settings(tmp_path, algorithm="HS256", key=SECRET))
    gate = Gate(KeyRing(path), tokens)
    assert not gate.is_open
    caller = gate.identify(signed(claims(scope="predict")), address="10.0.0.1")
    assert (caller.id, caller.scopes) == ("token:ann", ("predict",))
    assert [code(gate, signed(claims(exp=1))) for _ in range(11)][-1] == "too_many_wrong_keys"
    _, secret = add_key(path, name="a", scopes=["predict"])
    assert gate.identify(secret, address="10.0.0.1")
