"""Signed tokens (JWT, RFC 7519) of another service as a way in, beside keys."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgrec.errors import ConfigError, MissingExtraError
from imgrec.serve.access.keys import SCOPES

__all__ = ["Token", "TokenReader"]

ALGORITHMS = ("HS256", "RS256", "ES256", "EdDSA")
_SETTINGS = ("issuer", "audience", "algorithm", "keys")
_REQUIRED = ["exp", "nbf", "aud", "iss", "sub"]
_MAX_CHARACTERS = 8192
_LEAST_SECRET_BYTES = 32  # RFC 7518, section 3.2: at least as long as the hash


@dataclass(frozen=True)
class Token:
    """What a valid token says. subject: who. models: None = all."""

    subject: str
    scopes: tuple[str, ...]
    models: tuple[str, ...] | None


class TokenReader:
    """Checks tokens against one issuer, one audience, one algorithm and a fixed set of keys.

    path: JSON: {"issuer": ..., "audience": ..., "algorithm": "RS256", "keys": {KID: FILE}}. A file holds a secret of at
        least 32 bytes (HS256) or a public key in PEM; its path counts from the folder of the JSON file. A token's `kid`
        is looked up among the names, never used as a path, and its `alg` must be the one here.
    Raises: ConfigError: the file does not say that. MissingExtraError: a package for the algorithm is missing.
    """

    def __init__(self, path: Path) -> None:
        settings = _read_settings(path)
        self._issuer, self._audience = settings["issuer"], settings["audience"]
        self._algorithm = settings["algorithm"]
        files = settings["keys"].items()
        self._keys = {kid: _read_key(path.parent / file, self._algorithm) for kid, file in files}

    def read(self, text: str) -> Token | None:
        """Return what a token says, None where anything about it is wrong."""
        import jwt

        if len(text) > _MAX_CHARACTERS:
            return None
        try:
            key = self._keys[jwt.get_unverified_header(text)["kid"]]
            claims = jwt.decode(
                text,
                key,
                algorithms=[self._algorithm],
                audience=self._audience,
                issuer=self._issuer,
                options={"require": _REQUIRED, "verify_signature": True},
            )
            return _token(claims)
        # PyJWT raises its own errors, and on some malformed tokens whatever its parsers do.
        except Exception:
            return None


def _token(claims: Mapping[str, Any]) -> Token | None:
    scope, models, subject = claims.get("scope", ""), claims.get("models"), claims["sub"]
    if not isinstance(scope, str) or not isinstance(subject, str) or not subject:
        return None
    if models is not None and not (isinstance(models, list) and all(isinstance(name, str) for name in models)):
        return None
    scopes = tuple(name for name in scope.split() if name in SCOPES)
    return Token(subject, scopes, None if models is None else tuple(models))


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"--jwt {path}: cannot be read as JSON ({error}).") from error
    if not isinstance(settings, dict) or sorted(settings) != sorted(_SETTINGS):
        raise ConfigError(f"--jwt {path}: must have exactly the keys {', '.join(_SETTINGS)}.")
    if settings["algorithm"] not in ALGORITHMS:
        known = ", ".join(ALGORITHMS)
        raise ConfigError(f"--jwt {path}: algorithm {settings['algorithm']!r} is not known. Known: {known}.")
    texts = [settings["issuer"], settings["audience"]]
    keys = settings["keys"]
    if isinstance(keys, dict):
        texts += list(keys.values())
    if not isinstance(keys, dict) or not keys or not all(isinstance(text, str) and text for text in texts):
        raise ConfigError(f"--jwt {path}: issuer and audience are texts, keys is an object of names and files.")
    return settings


def _read_key(path: Path, algorithm: str) -> Any:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"Cannot read the key {path}: {error.strerror}.") from error
    if algorithm == "HS256":
        return _secret(content.strip(), path)
    return _public_key(content, path, algorithm)


def _secret(content: bytes, path: Path) -> Any:
    if len(content) < _LEAST_SECRET_BYTES:
        raise ConfigError(f"The secret in {path} has {len(content)} bytes, but HS256 needs {_LEAST_SECRET_BYTES}.")
    if content.startswith(b"-----BEGIN"):
        raise ConfigError(f"{path} is a key in PEM, not a secret. Set algorithm to RS256, ES256 or EdDSA.")
    return content


def _public_key(content: bytes, path: Path, algorithm: str) -> Any:
    try:
        from jwt.algorithms import get_default_algorithms
    except ImportError as error:
        raise MissingExtraError("pyjwt", "serve") from error
    known = get_default_algorithms()
    if algorithm not in known:
        raise MissingExtraError("cryptography", "serve")
    if b"PRIVATE KEY" in content:
        raise ConfigError(f"{path} is a private key. The server needs the public one only.")
    try:
        return known[algorithm].prepare_key(content)
    except Exception as error:
        raise ConfigError(f"{path} is not a public key for {algorithm}.") from error
