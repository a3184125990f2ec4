"""Claims, signed tokens and settings of a service that signs them."""

import json
import time
from pathlib import Path
from typing import Any

import jwt

SECRET = "0123456789abcdef0123456789abcdef"


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    base = {"iss": "login", "aud": "imgrec", "sub": "ann", "scope": "predict", "nbf": now - 5, "exp": now + 60}
    return {name: value for name, value in {**base, **changes}.items() if value is not None}


def settings(folder: Path, *, algorithm: str, key: str | bytes, **changes: Any) -> Path:
    (folder / "key").write_bytes(key.encode() if isinstance(key, str) else key)
    content = {"issuer": "login", "audience": "imgrec", "algorithm": algorithm, "keys": {"k1": "key"}, **changes}
    path = folder / "jwt.json"
    path.write_text(json.dumps(content))
    return path


def signed(content: dict[str, Any], *, key: Any = SECRET, algorithm: str = "HS256", kid: str | None = "k1") -> str:
    return jwt.encode(content, key, algorithm=algorithm, headers=None if kid is None else {"kid": kid})
