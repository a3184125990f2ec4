"""API keys: random, shown once, kept as hashes in one file that only its owner can read."""

import hashlib
import hmac
import json
import os
import secrets
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from imgrec.core.files.atomic_write import durable_write, folder_errors
from imgrec.core.files.file_lock import lock
from imgrec.errors import ConfigError

__all__ = [
    "SCOPES",
    "Key",
    "Output",
    "Rate",
    "add_key",
    "default_keys_path",
    "digest",
    "find_key",
    "key_id",
    "read_keys",
    "revoke_key",
]

Output = Literal["label", "topk", "rounded", "full"]
Rate = tuple[int, float]  # so many requests in so many seconds
SCOPES = ("predict", "explain", "metrics", "admin")
FORMAT = 1

_PREFIX = "imgrec"
_MAX_BYTES = 16_000_000


@dataclass(frozen=True)
class Key:
    """What is kept of a key.

    digest: SHA-256 of the whole key, hexadecimal. The key has 256 random bits, so a slow hash would protect nothing.
    scopes: of SCOPES; `admin` includes the others. models: names it may use, None = all.
    created, expires, revoked: seconds since 1970 (UTC), None = never.
    rate: requests in seconds. daily: images a day (UTC).
    output: how much of a prediction it sees, None = as the server.
    """

    id: str
    name: str
    digest: str
    scopes: tuple[str, ...]
    created: float
    expires: float | None = None
    revoked: float | None = None
    models: tuple[str, ...] | None = None
    rate: Rate | None = None
    daily: int | None = None
    output: Output | None = None

    def is_valid(self, now: float) -> bool:
        """Whether the key is neither revoked nor expired."""
        return self.revoked is None and (self.expires is None or now < self.expires)


# What an unknown id is compared with: as much work as for a known one.
_NOBODY = Key("", "", hashlib.sha256(secrets.token_bytes(32)).hexdigest(), (), created=0.0)


def default_keys_path() -> Path:
    """Return `$IMGREC_KEYS`, or keys.json in the user's folder of settings."""
    if given := os.environ.get("IMGREC_KEYS"):
        return Path(given)
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "imgrec" / "keys.json"


def add_key(
    path: Path,
    *,
    name: str,
    scopes: Sequence[str],
    expires: float | None = None,
    models: Sequence[str] | None = None,
    rate: Rate | None = None,
    daily: int | None = None,
    output: Output | None = None,
) -> tuple[Key, str]:
    """Make a key, keep its hash in `path`, and return both what is kept and the key itself, which nobody sees again.

    Raises: ConfigError: a value that does not fit, or a file that is no list of keys. RunFolderError: it is not
    writable.
    """
    _check(name=name, scopes=scopes, models=models, output=output, daily=daily)
    with _changing(path) as keys:
        taken = {key.id for key in keys}
        number = next(number for number in iter(lambda: secrets.token_hex(4), "") if number not in taken)
        secret = f"{_PREFIX}_{number}_{secrets.token_urlsafe(32)}"
        key = Key(
            id=number,
            name=name,
            digest=digest(secret),
            scopes=tuple(scopes),
            created=time.time(),
            expires=expires,
            models=None if models is None else tuple(models),
            rate=rate,
            daily=daily,
            output=output,
        )
        keys.append(key)
    return key, secret


def revoke_key(path: Path, number: str) -> Key:
    """Make a key invalid from now on; a running server knows at its next request. Raises: ConfigError: no such id."""
    with _changing(path) as keys:
        found = next((place for place, key in enumerate(keys) if key.id == number), None)
        if found is None:
            raise ConfigError(f"{path} has no key with the id {number!r}. See: imgrec keys list")
        if keys[found].revoked is None:
            keys[found] = replace(keys[found], revoked=time.time())
        return keys[found]


def read_keys(path: Path) -> list[Key]:
    """Return what the file holds, in the order in which the keys were added; [] where there is no file.

    Raises: ConfigError: others may read the file, or it is not a list of keys.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigError(f"Cannot read the keys in {path}: {error.strerror}.") from error
    with os.fdopen(descriptor, "rb") as file:
        info = os.fstat(file.fileno())
        if not stat.S_ISREG(info.st_mode) or info.st_size > _MAX_BYTES:
            raise ConfigError(f"{path} is not a list of keys.")
        if info.st_mode & 0o077:
            raise ConfigError(f"{path} may be read or changed by others ({info.st_mode & 0o777:o}). chmod 600 {path}")
        return _parse(file.read(), path)


def digest(secret: str) -> str:
    """Return the SHA-256 of a key, hexadecimal."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def key_id(secret: str) -> str:
    """Return the id that a key says it has, "" where it is not of our form."""
    prefix, _, rest = secret.partition("_")
    number, separator, _ = rest.partition("_")
    return number if prefix == _PREFIX and separator else ""


def find_key(keys: dict[str, Key], secret: str) -> Key | None:
    """Return the key that `secret` is, valid or not.

    The time tells nothing of the secret (benchmarks/key_timing.py); of the id, which is none, a few nanoseconds.
    """
    key = keys.get(key_id(secret), _NOBODY)
    return key if hmac.compare_digest(digest(secret), key.digest) else None


def _check(
    *,
    name: str,
    scopes: Sequence[str],
    models: Sequence[str] | None,
    output: str | None,
    daily: int | None,
) -> None:
    if not name or not name.isprintable() or len(name) > 100:
        raise ConfigError(f"--name {name!r}: 1 to 100 printable characters.")
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown or not scopes:
        raise ConfigError(f"--scope {','.join(unknown or scopes)!r} is not known. Known: {', '.join(SCOPES)}.")
    if models is not None and not all(models):
        raise ConfigError("--models: names of models, separated by commas.")
    if output is not None and output not in get_args(Output):
        raise ConfigError(f"--output {output!r} is not known. Known: {', '.join(get_args(Output))}.")
    if daily is not None and daily < 1:
        raise ConfigError(f"--daily {daily}, but it must be 1 or more.")


@contextmanager
def _changing(path: Path) -> Iterator[list[Key]]:
    """Give the keys to change, and write them back; one process at a time."""
    with folder_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        guard = path.with_name(f".{path.name}.lock")
        descriptor = os.open(guard, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        lock(descriptor)
        keys = read_keys(path)
        yield keys
        text = json.dumps({"format": FORMAT, "keys": [asdict(key) for key in keys]}, indent=1)
        with durable_write(path) as file:
            os.fchmod(file.fileno(), 0o600)  # before there is anything in it
            file.write(text.encode() + b"\n")
    finally:
        os.close(descriptor)


def _parse(text: bytes, path: Path) -> list[Key]:
    try:
        content = json.loads(text)
        if content["format"] != FORMAT:
            raise ConfigError(f"{path} has format {content['format']!r}; this imgrec reads {FORMAT}. Update imgrec.")
        return [_key(entry) for entry in content["keys"]]
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"{path} is not a list of keys as imgrec writes it ({type(error).__name__}).") from error


def _key(entry: dict[str, Any]) -> Key:
    """Return one key. Raises: TypeError, KeyError: not as we write it, which would only show at a request."""
    numbers = [entry[name] for name in ("created", "expires", "revoked", "daily")]
    are_numbers = all(value is None or type(value) in (int, float) for value in numbers)
    are_texts = all(isinstance(entry[name], str) for name in ("id", "name", "digest"))
    if not (are_numbers and are_texts and entry["output"] in (None, *get_args(Output))):
        raise TypeError
    rate, models = entry["rate"], entry["models"]
    values = {
        **entry,
        "scopes": tuple(entry["scopes"]),
        "models": None if models is None else tuple(models),
        "rate": None if rate is None else (int(rate[0]), float(rate[1])),
    }
    return Key(**values)
