"""Signed tokens of another service."""

import base64
import hashlib
import hmac
import json
import random
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from imgrec.errors import ConfigError
from imgrec.serve.access.tokens import Token, TokenReader
from signed_tokens import SECRET, claims, settings, signed


@pytest.fixture
def reader(tmp_path: Path) -> TokenReader:
    return TokenReader(settings(tmp_path, algorithm="HS256", key=SECRET))


def public_pem(key: Any) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def test_a_right_token_says_who_and_what(reader: TokenReader):
    assert reader.read(signed(claims())) == Token("ann", ("predict",), None)
    content = claims(scope="predict explain cook", models=["lung"])
    assert reader.read(signed(content)) == Token("ann", ("predict", "explain"), ("lung",))


@pytest.mark.parametrize(
    ("algorithm", "make"),
    [
        ("RS256", lambda: rsa.generate_private_key(65537, 2048)),
        ("ES256", lambda: ec.generate_private_key(ec.SECP256R1())),
        ("EdDSA", ed25519.Ed25519PrivateKey.generate),
    ],
)
def test_public_keys_check_what_private_ones_signed(tmp_path: Path, algorithm: str, make: Any):
    private = make()
    reader = TokenReader(settings(tmp_path, algorithm=algorithm, key=public_pem(private)))
    assert reader.read(signed(claims(), key=private, algorithm=algorithm)) == Token("ann", ("predict",), None)
    assert reader.read(signed(claims(), key=make(), algorithm=algorithm)) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": 1},
        {"nbf": 2**33},
        {"iss": "other"},
        {"aud": "other"},
        {"sub": ""},
        {"sub": 7},
        {"scope": ["predict"]},
        {"models": "lung"},
        {"models": [7]},
        *({name: None} for name in ("exp", "nbf", "iss", "aud", "sub")),
    ],
)
def test_a_claim_that_is_invalid_or_missing_is_refused(reader: TokenReader, changes: dict[str, Any]):
    assert reader.read(signed(claims(**changes))) is None


@pytest.mark.parametrize("kid", [None, "", "k2", "../key", "key", "/etc/passwd", "k1\x00"])
def test_an_unknown_kid_is_refused_and_never_a_path(reader: TokenReader, kid: str | None):
    assert reader.read(signed(claims(), kid=kid)) is None


def test_a_token_without_signature_is_refused(reader: TokenReader):
    assert reader.read(signed(claims(), key="", algorithm="none")) is None
    header, body, _ = signed(claims()).split(".")
    assert reader.read(f"{header}.{body}.") is None
    assert reader.read(f"{header}.{body}") is None
    for name in ("none", "None", "NONE", "nOnE"):
        assert reader.read(f"{_part({'alg': name, 'kid': 'k1'})}.{body}.") is None


def test_another_algorithm_than_the_pinned_one_is_refused(tmp_path: Path):
    reader = TokenReader(settings(tmp_path, algorithm="HS256", key=SECRET * 2))
    outcomes = [reader.read(signed(claims(), key=SECRET * 2, algorithm=name)) for name in ("HS256", "HS384", "HS512")]
    assert outcomes == [Token("ann", ("predict",), None), None, None]


def test_a_public_key_used_as_a_secret_opens_nothing(tmp_path: Path):
    pem = public_pem(rsa.generate_private_key(65537, 2048))
    reader = TokenReader(settings(tmp_path, algorithm="RS256", key=pem))
    body = f"{_part({'alg': 'HS256', 'typ': 'JWT', 'kid': 'k1'})}.{_part(claims())}"
    for secret in (pem, pem.strip(), pem.replace(b"\n", b"")):
        signature = hmac.new(secret, body.encode(), hashlib.sha256).digest()
        assert reader.read(f"{body}.{_base64(signature)}") is None


def test_a_hundred_changed_tokens_are_all_refused(reader: TokenReader):
    good = signed(claims())
    chance = random.Random(1)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=\x00é"
    for _ in range(100):
        place = chance.randrange(len(good) - 1)  # the last character has bits that base64 does not use
        changed = good[:place] + chance.choice([c for c in alphabet if c != good[place]]) + good[place + 1 :]
        assert reader.read(changed) is None, changed


def test_what_is_no_token_is_refused(reader: TokenReader):
    for text in ("", ".", "..", "a.b.c", "\udc80.a.b", "x" * 10_000, f"{signed(claims())}{'x' * 9000}"):
        assert reader.read(text) is None


@pytest.mark.parametrize(
    ("algorithm", "key", "changes", "message"),
    [
        ("HS256", "short", {}, "has 5 bytes, but HS256 needs 32"),
        ("HS256", "-----BEGIN PUBLIC KEY-----" + "x" * 40, {}, "is a key in PEM, not a secret"),
        ("RS256", "nonsense", {}, "is not a public key for RS256"),
        ("RS256", "-----BEGIN PRIVATE KEY-----", {}, "is a private key. The server needs the public one"),
        ("none", SECRET, {}, "algorithm 'none' is not known. Known: HS256"),
        ("HS256", SECRET, {"keys": {}}, "keys is an object of names and files"),
        ("HS256", SECRET, {"keys": {"k1": "absent"}}, "Cannot read the key"),
        ("HS256", SECRET, {"issuer": ""}, "issuer and audience are texts"),
        ("HS256", SECRET, {"jwks_url": "http://x"}, "must have exactly the keys issuer, audience, algorithm, keys"),
    ],
)
def test_settings_that_do_not_do_are_said(
    tmp_path: Path, algorithm: str, key: str, changes: dict[str, Any], message: str
):
    with pytest.raises(ConfigError, match=message):
        TokenReader(settings(tmp_path, algorithm=algorithm, key=key, **changes))


def test_settings_that_are_no_json_are_said(tmp_path: Path):
    (tmp_path / "jwt.json").write_text("{")
    with pytest.raises(ConfigError, match="cannot be read as JSON"):
        TokenReader(tmp_path / "jwt.json")


def _part(content: dict[str, Any]) -> str:
    return _base64(json.dumps(content).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
