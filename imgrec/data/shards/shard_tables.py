"""The indexes of the shards of a data set: stored beside them, or made in one pass and kept in the cache."""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imgrec.data.shards.remote import file_facts, is_remote, printable_url, read_remote
from imgrec.data.shards.shard_cache import Shard, ShardCache
from imgrec.data.shards.tar_index import INDEX_NAME, VERSION, Keys, index_shard, load_index, save_index
from imgrec.errors import DataError

if TYPE_CHECKING:
    import pyarrow

__all__ = ["Part", "ShardTables"]

log = logging.getLogger("imgrec")

MAX_INDEX_BYTES = 1 << 33
NUM_THREADS = 3  # that fetch and index shards; each needs one shard in the cache
_SOME = 20  # shards to index, from which on a message tells of it


@dataclass(frozen=True)
class Part:
    """The images of some shards.

    Args:
        table: Index of the images.
        shards: The shards.
        shard: int32 (N,), position in `shards` of each image's shard.
        facts: Metadata of the index: `class_names` and `multilabel`.
        excluded: Number of excluded members and samples by reason.
    """

    table: "pyarrow.Table"
    shards: Sequence[Shard]
    shard: NDArray[np.int32]
    facts: Mapping[str, Any]
    excluded: Counter[str]


@dataclass
class ShardTables:
    """Finds or makes the index of every shard.

    An index made here is kept in the cache under the shard's place, size and time of change, so that each shard is
    read once, and a pass that was interrupted resumes.
    """

    cache: ShardCache
    keys: Keys
    _beside: dict[str, tuple["pyarrow.Table", dict[str, Any]] | None] = field(default_factory=dict)

    def of_root(self, root: str) -> dict[str, list[str]]:
        """Return the shards of each split in a folder that imgrec wrote.

        Raises:
            DataError: It has no index.
        """
        root = root.rstrip("/") or root
        beside = self._index_beside(root)
        if beside is None:
            raise DataError(
                f"data.root={printable_url(root) or repr(root)} has no {INDEX_NAME}: it is no finished output of "
                "`imgrec prepare --shards`. Name other shards by data.train, data.val and data.test."
            )
        places: dict[str, list[str]] = {}
        for name, facts in beside[1]["shards"].items():
            places.setdefault(str(facts["split"]), []).append(f"{root}/{name}")
        return places

    def part(self, places: Sequence[str]) -> Part:
        """Return the index of these shards.

        Raises:
            DataError: One is absent or cannot be used.
        """
        found: list[tuple[pyarrow.Table, list[Shard], Mapping[str, Any]]] = []
        for folder, group in groupby(places, key=lambda place: place.rpartition("/")[0]):
            of_folder = list(group)
            beside = None if self.keys != Keys() else self._index_beside(folder)
            listed = [] if beside is None else [place for place in of_folder if _name(place) in beside[1]["shards"]]
            if beside is not None and listed:
                found.append(_rows_of(listed, *beside))
            found += self._made([place for place in of_folder if place not in set(listed)])
        return _joined(found)

    def _index_beside(self, folder: str) -> tuple["pyarrow.Table", dict[str, Any]] | None:
        """Return the index in the folder of shards, None where there is none."""
        if folder not in self._beside:
            place = f"{folder}/{INDEX_NAME}" if folder else INDEX_NAME
            data = None
            with suppress(FileNotFoundError, NotADirectoryError):
                if is_remote(place):
                    data = read_remote(place, self.cache.options, at_most=MAX_INDEX_BYTES)
                else:
                    data = Path(place).read_bytes()
            self._beside[folder] = None if data is None else load_index(data, name=printable_url(place))
            if data is not None:
                _check_shards(self._beside[folder], printable_url(place))
        return self._beside[folder]

    def _made(self, places: Sequence[str]) -> Iterable[tuple["pyarrow.Table", list[Shard], Mapping[str, Any]]]:
        if len(places) >= _SOME:
            log.info("Indexing %d shards, once; the index is kept in %s.", len(places), self.cache.folder)
        with ThreadPoolExecutor(NUM_THREADS) as pool:
            return list(pool.map(self._index, places))

    def _index(self, place: str) -> tuple["pyarrow.Table", list[Shard], Mapping[str, Any]]:
        try:
            facts = file_facts(place, self.cache.options) if is_remote(place) else _local_facts(place)
        except FileNotFoundError:
            raise DataError(f"{printable_url(place)} does not exist.") from None
        shard = Shard(place, size=facts["size"])
        mark = hashlib.sha256(json.dumps([place, facts, asdict(self.keys), VERSION]).encode()).hexdigest()[:32]
        path = self.cache.folder / "index" / f"{mark}.parquet"
        with self.cache.alone(f"index-{mark[0]}"):
            with suppress(FileNotFoundError, DataError):
                table, known = load_index(path.read_bytes(), name=str(path))
                return table, [shard], known
            self.cache.check_room([shard], num_needed=1)
            with self.cache.path(shard).open("rb") as file:
                table = index_shard(file, name=shard.name, keys=self.keys)
            path.parent.mkdir(exist_ok=True)
            save_index(table, path)
        return table, [shard], json.loads(table.schema.metadata[b"imgrec"])


def _name(place: str) -> str:
    return printable_url(place).rpartition("/")[2]


def _local_facts(place: str) -> dict[str, Any]:
    status = Path(place).stat()
    return {"size": status.st_size, "changed": status.st_mtime_ns, "path": str(Path(place).absolute())}


def _check_shards(beside: Any, name: str) -> None:
    """Check the names and sizes of shards in an index, which may be hostile."""
    table, facts = beside
    shards = facts.get("shards")
    if not isinstance(shards, dict) or not set(table["shard"].unique().to_pylist()) <= set(shards):
        raise DataError(f"{name} does not list its shards. Make it again.")
    for shard, known in shards.items():
        is_plain = not set(shard) & set("/\\?#*:\0") and shard not in ("", ".", "..")
        is_sized = isinstance(known, dict) and isinstance(known.get("size"), int) and known["size"] >= 0
        if not is_plain or not is_sized or known.get("split") not in ("all", "train", "val", "test"):
            raise DataError(f"{name} lists {shard!r}, which is no shard beside it with a size and a split.")


def _rows_of(
    places: Sequence[str], table: "pyarrow.Table", facts: Mapping[str, Any]
) -> tuple["pyarrow.Table", list[Shard], Mapping[str, Any]]:
    """Return the rows of some shards of an index, in the order of the shards."""
    import pyarrow.compute

    shards = []
    for place in places:
        known = facts["shards"][_name(place)]
        shards.append(Shard(place, size=known["size"], sha256=known.get("sha256")))
        _check_local(shards[-1])
    if len(places) < len(facts["shards"]):
        names = pyarrow.array([shard.name for shard in shards])
        table = table.filter(pyarrow.compute.is_in(table["shard"].cast(pyarrow.string()), names))
    return table, shards, facts


def _check_local(shard: Shard) -> None:
    if shard.is_remote:
        return
    size = Path(shard.place).stat().st_size if Path(shard.place).is_file() else None
    if size != shard.size:
        what = "does not exist" if size is None else f"has {size:,} bytes, but its index says {shard.size:,}"
        raise DataError(f"{shard.place} {what}. Copy or prepare it again.")


def _joined(found: Sequence[tuple["pyarrow.Table", list[Shard], Mapping[str, Any]]]) -> Part:
    """Concatenate several indexes."""
    import pyarrow

    shards: list[Shard] = []
    numbers = []
    excluded: Counter[str] = Counter()
    for table, of_table, facts in found:
        numbers.append(_shard_numbers(table, of_table, first=len(shards)))
        shards += of_table
        excluded.update(facts.get("excluded", facts.get("left_out", {})))  # the key of version 1
    lists = [facts.get("class_names") for _, _, facts in found]
    joined = {
        "class_names": lists[0] if all(names == lists[0] for names in lists) else None,
        "multilabel": any(facts.get("multilabel") for _, _, facts in found),
    }
    table = pyarrow.concat_tables([table.drop_columns("shard") for table, _, _ in found])
    return Part(table, shards, np.concatenate(numbers), joined, excluded)


def _shard_numbers(table: "pyarrow.Table", shards: Sequence[Shard], *, first: int) -> NDArray[np.int32]:
    number_of = {shard.name: number for number, shard in enumerate(shards, start=first)}
    column = table["shard"].unify_dictionaries().combine_chunks()
    numbers = np.array([number_of.get(name, -1) for name in column.dictionary.to_pylist()], dtype=np.int32)
    of_rows: NDArray[np.int32] = numbers[column.indices.to_numpy()]
    return of_rows
