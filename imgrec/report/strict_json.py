"""JSON that any reader takes: what is undefined is null, never NaN; names with stray bytes are written out."""

import json
import math
from pathlib import Path
from typing import Any

from imgrec.durable import write_bytes

__all__ = ["write_json"]


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write plain values, NaN and infinity as null, whole or not at all. Raises: RunFolderError."""
    text = json.dumps(_strict(value), ensure_ascii=False, allow_nan=False, indent=1)
    write_bytes(path, (text + "\n").encode("utf-8", "backslashreplace"))


def _strict(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
