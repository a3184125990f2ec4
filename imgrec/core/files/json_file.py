"""JSON that any reader takes: what is undefined is null, never NaN; names with stray bytes are written out."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from imgrec.core.files.atomic_write import write_bytes
from imgrec.errors import DataError

__all__ = ["plain", "read_json", "to_json", "write_json"]


def write_json(path: Path, value: Mapping[str, Any], *, default: Callable[[Any], Any] | None = None) -> None:
    """Write `value` as `to_json` has it, whole or not at all. Raises: RunFolderError."""
    write_bytes(path, to_json(value, default=default))


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object that a job wrote.

    Raises:
        DataError: It is not there, or no JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}). Run the job again that writes it.") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} holds no JSON object. Run the job again that writes it.")
    return content


def to_json(value: Mapping[str, Any], *, default: Callable[[Any], Any] | None = None) -> bytes:
    """Return the bytes of a file: indented, UTF-8, a lone surrogate as the escape that JSON knows.

    default: makes plain what `plain` does not. Raises: TypeError: it holds such a thing, and there is no `default`.
    """
    text = json.dumps(plain(value), ensure_ascii=False, allow_nan=False, indent=1, default=default)
    return (text + "\n").encode("utf-8", "backslashreplace")


def plain(value: Any) -> Any:
    """Return `value` made of what JSON has: arrays and their numbers as Python's, NaN and infinity as null."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):  # of NumPy and PyTorch, which are not loaded for this
        return plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value
