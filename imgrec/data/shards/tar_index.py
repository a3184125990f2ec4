"""The index of shards: place, label and group of every image, made in one pass over the tar files, stored as Parquet.

A WebDataset sample is a run of members that share their name up to its first dot: `0001.jpg`, `0001.cls`, `0001.json`.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from imgrec.core.files.atomic_write import durable_write
from imgrec.core.text import listed, printable
from imgrec.data.images.formats import FORMAT_OF_SUFFIX
from imgrec.data.images.limits import MAX_FILE_BYTES
from imgrec.data.shards.tar_members import Member, TarReader
from imgrec.data.sources.walk import is_hidden
from imgrec.errors import DataError

if TYPE_CHECKING:
    import pyarrow

__all__ = ["INDEX_NAME", "Keys", "index_shard", "load_index", "make_index", "save_index"]

INDEX_NAME = "index.parquet"
IMAGE_ENDINGS = tuple(suffix[1:] for suffix in FORMAT_OF_SUFFIX)
LABEL_ENDINGS = ("cls", "txt", "json")
MAX_LABEL_BYTES = 1 << 20
VERSION = 1


@dataclass(frozen=True)
class Keys:
    """Which members of a sample to use.

    Args:
        image: Ending of the image's member, such as `jpg` or `left.png`; None = the only one of an image format.
        label: Key of the label in the `json` member; None = the label is the text of `cls`, else of `txt`.
        group: Key of the group in the `json` member; None = no groups.
    """

    image: str | None = None
    label: str | None = None
    group: str | None = None


@dataclass
class _Collector:
    """Turns the members of one shard into rows, with counts of what is excluded and a list of faults."""

    file: BinaryIO
    name: str
    keys: Keys
    rows: list[dict[str, Any]] = field(default_factory=list)
    excluded: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def add(self, key: str, members: Mapping[str, Member]) -> None:
        """Add the sample `key` with its members by ending."""
        found = [ending for ending in members if self._is_image(ending)]
        others = set(members) - set(found) - set(LABEL_ENDINGS)
        if not found:
            self.excluded["sample without an image"] += 1
            return
        self.excluded.update(f".{printable(ending)}" for ending in others)
        image = members[found[0]]
        if len(found) > 1:
            self.problems.append(f"{printable(key)} has {listed(found)}; set data.image_key to one of them")
        if image.size > MAX_FILE_BYTES:
            self.problems.append(f"{printable(image.name)} has {image.size:,} bytes; at most {MAX_FILE_BYTES:,}")
        labels, group = self._labels_and_group(key, members)
        name = f"{self.name}/{image.name}"
        self.rows.append(
            {"name": name, "offset": image.offset, "size": image.size, "labels": labels, "group": group}
        )  # fmt: skip

    def _is_image(self, ending: str) -> bool:
        if self.keys.image is not None:
            return ending == self.keys.image.lower()
        return ending in IMAGE_ENDINGS

    def _labels_and_group(self, key: str, members: Mapping[str, Member]) -> tuple[list[str], str | None]:
        try:
            facts = self._json(members) if self.keys.label or self.keys.group else {}
            labels = _as_labels(facts.get(self.keys.label) if self.keys.label else self._label_text(members))
            group = facts.get(self.keys.group) if self.keys.group else None
        except (ValueError, RecursionError) as error:
            self.problems.append(f"{printable(key)}: {printable(str(error))}")
            return [], None
        if labels is None:
            wanted = f"'{self.keys.label}' in its .json" if self.keys.label else ".cls and no .txt; see data.label_key"
            self.problems.append(f"{printable(key)} has no {wanted}")
        if self.keys.group and not isinstance(group, str | int):
            self.problems.append(f"{printable(key)} has no '{self.keys.group}' in its .json")
        return labels or [], None if group is None else str(group)

    def _label_text(self, members: Mapping[str, Member]) -> str | None:
        member = members.get("cls") or members.get("txt")
        return None if member is None else self._text(member).strip()

    def _json(self, members: Mapping[str, Member]) -> dict[str, Any]:
        facts = json.loads(self._text(members["json"])) if "json" in members else {}
        if not isinstance(facts, dict):
            raise ValueError("its .json is no object with names and values")
        return facts

    def _text(self, member: Member) -> str:
        if member.size > MAX_LABEL_BYTES:
            raise ValueError(f"{member.name} has {member.size:,} bytes; at most {MAX_LABEL_BYTES:,} for a label")
        self.file.seek(member.offset)
        return self.file.read(member.size).decode("utf-8-sig")


def _as_labels(value: Any) -> list[str] | None:
    """Return a label, or the labels of a list, as texts; None = there is none."""
    values = value if isinstance(value, list) else [value]
    if value is None or value == "" or not all(isinstance(part, str | int) for part in values):
        return None
    return list(dict.fromkeys(str(int(part)) if isinstance(part, bool) else str(part).strip() for part in values))


def index_shard(file: BinaryIO, *, name: str, keys: Keys) -> "pyarrow.Table":
    """Return the index of one shard, from one pass over its headers and labels.

    Members with other endings are not read.

    Raises:
        DataError: The file is no complete tar file, has no images, or has samples without a label or of one name.
    """
    reader = TarReader(file, name)
    collector = _Collector(file, name, keys)
    for key, members in _samples(reader, collector):
        collector.add(key, members)
    collector.excluded.update(reader.excluded)
    if collector.problems:
        shown = "\n  ".join(collector.problems[:10])
        raise DataError(f"{name}: {len(collector.problems)} samples cannot be used:\n  {shown}")
    if not collector.rows:
        endings = f"Found: {listed(sorted(collector.excluded))}" if collector.excluded else "It is empty"
        raise DataError(f"{name} holds no images ({', '.join(IMAGE_ENDINGS)}). {endings}.")
    has_lists = any(len(row["labels"]) != 1 for row in collector.rows)
    facts = {"multilabel": has_lists, "excluded": dict(collector.excluded)}
    return make_index([{"shard": name, **row} for row in collector.rows], facts)


def _samples(reader: TarReader, collector: _Collector) -> Iterator[tuple[str, dict[str, Member]]]:
    """Yield the samples of a shard: key, and members by ending."""
    seen: set[str] = set()
    named = ((*_key_and_ending(member.name), member) for member in reader.members())
    for key, run in groupby(named, key=lambda entry: entry[0]):
        members: dict[str, Member] = {}
        for _, ending, member in run:
            if any(is_hidden(part) for part in member.name.split("/") if part != "."):
                collector.excluded["hidden"] += 1
            elif ending in members:
                collector.problems.append(f"{printable(member.name)} is there twice")
            else:
                members[ending] = member
        if key in seen and members:
            collector.problems.append(f"{printable(key)} is there twice, with other samples between")
        seen.add(key)
        if members:
            yield key, members


def _key_and_ending(name: str) -> tuple[str, str]:
    folder, slash, file = name.rpartition("/")
    stem, _, ending = file.partition(".")
    return f"{folder}{slash}{stem}", ending.lower()


# The table


def _schema() -> "pyarrow.Schema":
    import pyarrow

    text = pyarrow.string()
    fields = {
        "shard": pyarrow.dictionary(pyarrow.int32(), text),
        "name": text,
        "offset": pyarrow.int64(),
        "size": pyarrow.int64(),
        "labels": pyarrow.list_(text),
        "group": text,
    }
    return pyarrow.schema(list(fields.items()))


def make_index(rows: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]) -> "pyarrow.Table":
    """Return the table of an index, with `facts`, plain values, as its metadata."""
    import pyarrow

    table = pyarrow.Table.from_pylist(list(rows), schema=_schema())
    return table.replace_schema_metadata({"imgrec": json.dumps({"version": VERSION, **facts})})


def save_index(index: "pyarrow.Table", path: Path) -> None:
    """Write an index atomically.

    Raises:
        RunFolderError: It cannot be written.
    """
    import pyarrow.parquet

    with durable_write(path) as file:
        pyarrow.parquet.write_table(index, file, compression="zstd")


def load_index(data: bytes, *, name: str) -> tuple["pyarrow.Table", dict[str, Any]]:
    """Return the table and the metadata of an index.

    Raises:
        DataError: It is damaged, or not made by `save_index`.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(BytesIO(data))
        facts = json.loads((table.schema.metadata or {})[b"imgrec"])
        if facts["version"] > VERSION:
            raise DataError(f"{name} was written by a later release of imgrec. Update: pip install -U imgrec")
        table = table.select(_schema().names).cast(_schema())
    except (pyarrow.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{name} is no index of shards, or damaged ({first}). Make it again.") from None
    if any(table[column].null_count for column in ("shard", "name", "offset", "size", "labels")):
        raise DataError(f"{name} is damaged: cells are empty. Make it again.")
    return table, facts
