"""Strict JSON that any reader takes: undefined numbers are null, never NaN; stray bytes in names are escaped."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from imgrec.core.files.atomic_write import write_bytes
from imgrec.errors import DataError

__all__ = ["plain", "read_json", "to_json", "write_json"]

Default = Callable[[Any], Any]


def write_json(path: Path, value: Mapping[str, Any], *, default: Default | None = None) -> None:
    """Write `value` in the format of `to_json`, completely or not at all.

    Raises:
        RunFolderError: The file cannot be written.
    """
    write_bytes(path, to_json(value, default=default))


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object that a job wrote.

    Raises:
        DataError: The file is missing, or not a JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}). Run the job again that writes it.") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} holds no JSON object. Run the job again that writes it.")
    return content


def to_json(value: Mapping[str, Any], *, digits: int | None = None, default: Default | None = None) -> bytes:
    """Return the bytes of a file that people read too: a line per key, per row of a table, per item of a list of lists.

    UTF-8; a lone surrogate is written as the escape that JSON knows.

    Args:
        value: The object to write; see `plain`.
        digits: Decimals to which floats are rounded; None: as they are.
        default: Converts what `plain` does not.

    Raises:
        TypeError: It holds something that JSON has no form for, and there is no `default`.
    """
    content = plain(value, digits=digits)
    lines = (f"  {_dump(key, default)}: {_block(item, '  ', default)}" for key, item in content.items())
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode("utf-8", "backslashreplace")


def plain(value: Any, *, digits: int | None = None) -> Any:
    """Return `value` made of JSON's types: arrays and their numbers as Python's, NaN and infinity as None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item, digits=digits) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, digits=digits) for item in value]
    if hasattr(value, "tolist"):  # of NumPy and PyTorch, which are not imported for this
        return plain(value.tolist(), digits=digits)
    if not isinstance(value, float):
        return value
    return None if not math.isfinite(value) else value if digits is None else round(value, digits)


def _block(value: Any, indent: str, default: Default | None) -> str:
    """Return JSON with one line per item of a list of lists or objects, and per key of an object that holds such."""
    inside = indent + "  "
    if isinstance(value, list) and value and isinstance(value[0], list | dict):
        rows = ",\n".join(f"{inside}{_dump(item, default)}" for item in value)
        return f"[\n{rows}\n{indent}]"
    if isinstance(value, dict) and any(isinstance(item, list | dict) for item in value.values()):
        rows = ",\n".join(
            f"{inside}{_dump(key, default)}: {_block(item, inside, default)}" for key, item in value.items()
        )
        return f"{{\n{rows}\n{indent}}}"
    return _dump(value, default)


def _dump(value: Any, default: Default | None) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, default=default)
