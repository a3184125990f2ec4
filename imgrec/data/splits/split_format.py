"""A division of a data set as a file: which sample is in which part, by what rule, and of what data.

The file is JSON with a line for each sample, so that it can be read, compared and, with care, edited. Names are
relative to the data's folder: the data may be moved. Two hashes: `fingerprint` is that of the data (names, labels,
classes) and tells whether they are still those that were divided; `digest` is that of the file's own content and tells
whether it was edited since.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.core.files.atomic_write import write_text
from imgrec.data.samples import SPLITS
from imgrec.data.splits.folds import UNUSED
from imgrec.data.splits.split_changes import BETWEEN, fingerprint
from imgrec.errors import DataError, did_you_mean

__all__ = ["SplitFile", "read_split_file", "write_split_file"]

FORMAT = "imgrec-splits"
VERSION = 1
PARTS = (*SPLITS, "unused")
_HEADER = ("format", "version", "command", "seed", "rule", "folds", "repeats", "class_names", "fingerprint", "digest")


@dataclass(frozen=True)
class SplitFile:
    """A division of N samples, sorted by name.

    names: relative to the data's folder. labels: as `label_texts` has them. sides: uint8 (N, F) as `deal_folds` returns
    them, F = repeats * folds, or 1 where there are no folds.
    groups: what must stay together with others, by a name; "" for a sample that stands alone.
    folds, repeats: 0 and 1 for one division into train, val and test.
    rule: every option that the division depends on, as plain values, and `words`, the same in a sentence.
    command: what makes such a file anew.
    digest: of the content as it is. is_edited: whether it was another when the file was written.
    """

    names: Sequence[str]
    labels: Sequence[str]
    sides: NDArray[np.uint8]
    class_names: Sequence[str]
    seed: int
    folds: int = 0
    repeats: int = 1
    groups: Sequence[str] = ()
    rule: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""
    fingerprint: str = ""
    digest: str = ""
    is_edited: bool = False


# Writing


def write_split_file(split: SplitFile, path: Path) -> SplitFile:
    """Write the file, whole or not at all; the same division gives the same bytes. Returns: `split` with its hashes.

    Raises: RunFolderError: it cannot be written there.
    """
    split = _sorted(split)
    split = replace(
        split,
        groups=_shared(split.groups) if split.groups else [""] * len(split.names),
        fingerprint=fingerprint(split.names, split.labels, split.class_names),
    )
    split = replace(split, digest=_digest(split))
    header = {"format": FORMAT, "version": VERSION, **{key: getattr(split, key) for key in _HEADER[2:]}}
    lines = [f"{_json(key)}: {_json(value)}" for key, value in header.items()]
    samples = ",\n".join(_json(row) for row in _rows(split))
    write_text(path, "{\n" + ",\n".join(lines) + f',\n"samples": [\n{samples}\n]\n}}\n')
    return split


def _sorted(split: SplitFile) -> SplitFile:
    """Return the same with the samples sorted by name."""
    order = sorted(range(len(split.names)), key=split.names.__getitem__)
    return replace(
        split,
        names=[split.names[i] for i in order],
        labels=[split.labels[i] for i in order],
        groups=[split.groups[i] for i in order] if split.groups else (),
        sides=split.sides[order],
    )


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _shared(groups: Sequence[str]) -> list[str]:
    """Return the groups with those of one sample left out."""
    sizes: dict[str, int] = {}
    for group in groups:
        sizes[group] = sizes.get(group, 0) + 1
    return [group if sizes[group] > 1 else "" for group in groups]


def _rows(split: SplitFile) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for name, label, group, sides in zip(split.names, split.labels, split.groups, split.sides.tolist(), strict=True):
        row: dict[str, Any] = {"name": name, "label": label.split(BETWEEN) if BETWEEN in label else label}
        if split.folds == 0:
            row["part"] = PARTS[sides[0]]
        else:
            for side in (2, 1, UNUSED):
                if side == 2 or side in sides:
                    row[PARTS[side]] = [fold for fold, its in enumerate(sides) if its == side]
        rows.append(row | ({"group": group} if group else {}))
    return rows


def _digest(split: SplitFile) -> str:
    """Return the SHA-256 of everything but the command, which may name the data by another path."""
    header = {key: getattr(split, key) for key in _HEADER[3:-1]}
    digest = sha256(json.dumps(header, sort_keys=True).encode())
    for column in (split.names, split.labels, split.groups):
        digest.update(b"\0\0" + "\0".join(column).encode("utf-8", "surrogateescape"))
    digest.update(b"\0\0" + split.sides.tobytes())
    return digest.hexdigest()


# Reading


def read_split_file(path: Path) -> SplitFile:
    """Read a file of `write_split_file`. Raises: DataError: it is absent, no such file, or a line is wrong."""
    content = _load(path)
    missing = [key for key in (*_HEADER, "samples") if key not in content]
    if missing:
        raise DataError(f"{path} lacks {', '.join(missing)}. Make a new one: imgrec split DATA --output {path}")
    folds, repeats, rows = content["folds"], content["repeats"], content["samples"]
    try:
        sides = _sides(rows, folds=folds, repeats=repeats)
        labels = [row["label"] if isinstance(row["label"], str) else BETWEEN.join(row["label"]) for row in rows]
        names = [row["name"] for row in rows]
        groups = [row.get("group", "") for row in rows]
        "".join(names), "".join(groups)  # raises where one is no text
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        raise DataError(_explain_row(path, rows, num_columns=max(1, folds * repeats), is_folds=folds > 0)) from None
    if len(set(names)) < len(names):
        raise DataError(f"{path} names {Counter(names).most_common(1)[0][0]} twice. Remove one of the lines.")
    header = {key: content[key] for key in _HEADER[2:]}
    split = _sorted(SplitFile(names=names, labels=labels, sides=sides, groups=groups, **header))
    digest = _digest(split)
    return replace(split, digest=digest, is_edited=digest != header["digest"])


def _load(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        siblings = sorted(entry.name for entry in path.parent.iterdir()) if path.parent.is_dir() else []
        raise DataError(f"data.splits={path}: no such file.{did_you_mean(path.name, siblings)}") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"data.splits={path} cannot be read: {reason}.") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DataError(f"data.splits={path} is no split file. One is made by: imgrec split DATA --output FILE")
    if content.get("version") != VERSION:
        raise DataError(f"{path} is of version {content.get('version')}; this imgrec reads {VERSION}. Update imgrec.")
    return content


def _sides(rows: Sequence[Mapping[str, Any]], *, folds: int, repeats: int) -> NDArray[np.uint8]:
    """Return uint8 (N, F). Raises what a wrong row makes Python raise."""
    if folds == 0:
        side_of = {part: side for side, part in enumerate(PARTS)}
        return np.array([[side_of[row["part"]]] for row in rows], dtype=np.uint8).reshape(-1, 1)
    sides = np.zeros((len(rows), folds * repeats), dtype=np.uint8)
    for part in ("val", "test", "unused"):
        numbers = [row.get(part, ()) for row in rows]
        sizes = [len(some) for some in numbers]
        flat = [number for some in numbers for number in some]
        columns = np.array(flat) if flat else np.empty(0, dtype=np.int64)
        if columns.dtype.kind != "i" or np.any(columns < 0):
            raise ValueError
        places = np.repeat(np.arange(len(rows)), sizes), columns
        if np.any(sides[places]):  # in two parts of one fold
            raise ValueError
        sides[places] = PARTS.index(part)
    return sides


def _explain_row(path: Path, rows: Any, *, num_columns: int, is_folds: bool) -> str:
    """Return what is wrong with the first wrong row."""
    wish = f"numbers of folds, 0 to {num_columns - 1}, each in one of test, val and unused" if is_folds else "a part"
    for row in rows if isinstance(rows, list) else []:
        try:
            _sides([row], folds=num_columns if is_folds else 0, repeats=1)
            if all(isinstance(text, str) for text in (row["name"], row.get("group", ""), *row["label"])):
                continue
        except (KeyError, TypeError, ValueError, IndexError, AttributeError):
            pass
        parts = "" if is_folds else f" (one of {', '.join(PARTS)})"
        return f"{path}: {json.dumps(row)[:200]} must have a name, a label, and {wish}{parts}."
    return f"{path}: samples must be a list of objects."
