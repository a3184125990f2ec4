"""Split files: the split or folds of every sample of a data set, as JSON with a line for each sample.

Names are relative to the data's folder, so that the data may be moved. `fingerprint` is that of the data (names,
labels, classes) and detects other data; `digest` is that of the file's content and detects edits.
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
from imgrec.data.splits.split_changes import BETWEEN, labels_fingerprint
from imgrec.errors import DataError, did_you_mean

__all__ = ["SplitFile", "read_split_file", "write_split_file"]

FORMAT = "imgrec-splits"
VERSION = 2  # 1: `part` in place of `split`
PLACES = (*SPLITS, "unused")
_HEADER = ("format", "version", "command", "seed", "rule", "folds", "repeats", "class_names", "fingerprint", "digest")


@dataclass(frozen=True)
class SplitFile:
    """The split, or the folds, of N samples, sorted by name.

    Args:
        names: Names relative to the data's folder.
        labels: Labels as returned by `label_texts`.
        sides: uint8 (N, F) as returned by `deal_folds`, F = repeats * folds, or 1 without folds.
        class_names: Class names.
        seed: Seed of the split.
        folds: Number of folds, 0 for one split into train, val and test.
        repeats: Number of repeats of the folds.
        groups: Group of each sample, "" for one that is alone.
        rule: Every option that the split depends on, as plain values, and `summary`, the same as a sentence.
        command: Command that makes the file again.
        fingerprint: Digest of the data.
        digest: Digest of the content as it is.
        is_edited: Whether the content has changed since the file was written.
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
    """Write the file atomically, and return `split` with its digests; the same split gives the same bytes.

    Raises:
        RunFolderError: It cannot be written.
    """
    split = _sorted(split)
    split = replace(
        split,
        groups=_shared(split.groups) if split.groups else [""] * len(split.names),
        fingerprint=labels_fingerprint(split.names, split.labels, split.class_names),
    )
    split = replace(split, digest=_digest(split))
    header = {"format": FORMAT, "version": VERSION, **{key: getattr(split, key) for key in _HEADER[2:]}}
    lines = [f"{_json(key)}: {_json(value)}" for key, value in header.items()]
    samples = ",\n".join(_json(row) for row in _rows(split))
    write_text(path, "{\n" + ",\n".join(lines) + f',\n"samples": [\n{samples}\n]\n}}\n')
    return split


def _sorted(split: SplitFile) -> SplitFile:
    """Return the split with its samples sorted by name."""
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
    """Return the groups, "" for those of one sample."""
    sizes = Counter(groups)
    return [group if sizes[group] > 1 else "" for group in groups]


def _rows(split: SplitFile) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for name, label, group, sides in zip(split.names, split.labels, split.groups, split.sides.tolist(), strict=True):
        row: dict[str, Any] = {"name": name, "label": label.split(BETWEEN) if BETWEEN in label else label}
        if split.folds == 0:
            row["split"] = PLACES[sides[0]]
        else:
            for side in (2, 1, UNUSED):
                if side == 2 or side in sides:
                    row[PLACES[side]] = [fold for fold, its in enumerate(sides) if its == side]
        rows.append(row | ({"group": group} if group else {}))
    return rows


def _digest(split: SplitFile) -> str:
    """Return the SHA-256 of everything except the command, which may name the data by another path."""
    header = {key: getattr(split, key) for key in _HEADER[3:-1]}
    digest = sha256(json.dumps(header, sort_keys=True).encode())
    for column in (split.names, split.labels, split.groups):
        digest.update(b"\0\0" + "\0".join(column).encode("utf-8", "surrogateescape"))
    digest.update(b"\0\0" + split.sides.tobytes())
    return digest.hexdigest()


# Reading


def read_split_file(path: Path) -> SplitFile:
    """Read a file of `write_split_file`, of this or an earlier version.

    Raises:
        DataError: It does not exist, is no split file, or has an invalid line.
    """
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
        "".join(names), "".join(groups)  # TypeError where one is no text
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
        raise DataError(f"data.splits={path} is no split file. Make one: imgrec split DATA --output FILE")
    if content.get("version") not in range(1, VERSION + 1):
        raise DataError(
            f"{path} has version {content.get('version')}; this imgrec reads 1 to {VERSION}. Update imgrec."
        )
    return content


def _sides(rows: Sequence[Mapping[str, Any]], *, folds: int, repeats: int) -> NDArray[np.uint8]:
    """Return uint8 (N, F); an invalid row raises the errors that `read_split_file` catches."""
    if folds == 0:
        side_of = {place: side for side, place in enumerate(PLACES)}
        places = [row["split"] if "split" in row else row["part"] for row in rows]  # `part`: version 1
        return np.array([side_of[place] for place in places], dtype=np.uint8).reshape(-1, 1)
    sides = np.zeros((len(rows), folds * repeats), dtype=np.uint8)
    for place in ("val", "test", "unused"):
        numbers = [row.get(place, ()) for row in rows]
        sizes = [len(some) for some in numbers]
        flat = [number for some in numbers for number in some]
        columns = np.array(flat) if flat else np.empty(0, dtype=np.int64)
        if columns.dtype.kind != "i" or np.any(columns < 0):
            raise ValueError
        cells = np.repeat(np.arange(len(rows)), sizes), columns
        if np.any(sides[cells]):  # in two splits of one fold
            raise ValueError
        sides[cells] = PLACES.index(place)
    return sides


def _explain_row(path: Path, rows: Any, *, num_columns: int, is_folds: bool) -> str:
    """Return what is wrong with the first invalid row."""
    wanted = f"numbers of folds, 0 to {num_columns - 1}, each in one of test, val and unused"
    if not is_folds:
        wanted = f"a split (one of {', '.join(PLACES)})"
    for row in rows if isinstance(rows, list) else []:
        try:
            _sides([row], folds=num_columns if is_folds else 0, repeats=1)
            if all(isinstance(text, str) for text in (row["name"], row.get("group", ""), *row["label"])):
                continue
        except (KeyError, TypeError, ValueError, IndexError, AttributeError):
            pass
        return f"{path}: {json.dumps(row)[:200]} must have a name, a label, and {wanted}."
    return f"{path}: samples must be a list of objects."
