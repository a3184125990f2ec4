"""WebDataset shards as a source: tar files of images and labels, local or remote, larger than the disk if need be."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imgrec.core.config.checks import check_count, check_number
from imgrec.core.system.hardware import num_processors
from imgrec.core.text import listed
from imgrec.data.images.limits import MAX_FILE_BYTES
from imgrec.data.loading.datamodule import ImageDataModule
from imgrec.data.loading.workers import MAX_WORKERS
from imgrec.data.samples import Note, Samples, Splits
from imgrec.data.shards.shard_cache import Prefetcher, ShardCache, default_cache_dir
from imgrec.data.shards.shard_images import ShardImages, StringColumn, base_images, shards_of
from imgrec.data.shards.shard_list import list_shards
from imgrec.data.shards.shard_order import ShardBatchSampler
from imgrec.data.shards.shard_tables import Part, ShardTables
from imgrec.data.shards.tar_index import Keys
from imgrec.data.sources.assemble import Found, assemble, sort_names
from imgrec.errors import DataError

if TYPE_CHECKING:
    import pyarrow

AHEAD = 2  # shards in the cache besides those in use: the one that comes next, and the one that has just closed


class ShardsData(ImageDataModule):
    """Data module for images in tar shards; arguments as in `read_shards`, with its `label_names` as `class_names`.

    Args:
        shuffle_shards: Number of shards that are open at a time in training, and among which images are shuffled.
        image_key: See `Keys`, like `label_key` and `group_key`.
        label_key: See `Keys`.
        group_key: See `Keys`.
        cache_dir: Folder for remote shards and indexes; None = the user's folder for caches.
        cache_gb: Limit of the cache in gigabytes (10^9 bytes).
        storage_options: Options for fsspec.
    """

    def __init__(
        self,
        *,
        root: str | None = None,
        train: str | Sequence[str] | None = None,
        val: str | Sequence[str] | None = None,
        test: str | Sequence[str] | None = None,
        class_names: Sequence[str] | None = None,
        image_key: str | None = None,
        label_key: str | None = None,
        group_key: str | None = None,
        val_fraction: float = 0.1,
        test_fraction: float = 0.1,
        shuffle_shards: int = 4,
        cache_dir: str | None = None,
        cache_gb: float = 20.0,
        storage_options: Mapping[str, Any] | None = None,
        **loader: Any,
    ) -> None:
        super().__init__(**loader)
        check_count("data.shuffle_shards", shuffle_shards, at_least=1)
        check_number("data.cache_gb", cache_gb, above=0)
        self.shuffle_shards = shuffle_shards
        self.cache = ShardCache(
            default_cache_dir() if cache_dir is None else Path(cache_dir),
            limit_bytes=int(cache_gb * 1e9),
            options=dict(storage_options or {}),
        )
        self.options: dict[str, Any] = {
            "root": root,
            "train": train,
            "val": val,
            "test": test,
            "label_names": None if class_names is None else list(class_names),
            "keys": Keys(image_key, label_key, group_key),
            "val_fraction": val_fraction,
            "test_fraction": test_fraction,
        }

    def read(self, class_names: Sequence[str] | None) -> Splits:
        """Read the splits; with `class_names`, map labels to that list by name."""
        return read_shards(**self.options, cache=self.cache, seed=self.seed, class_names=class_names)

    def make_train_sampler(self, samples: Samples, *, rank: int, world_size: int) -> ShardBatchSampler:
        """Return a sampler that needs `shuffle_shards` shards at a time, and fetches the next one ahead."""
        shards, numbers = base_images(samples.images).shards, shards_of(samples.images)
        if self.num_workers == "auto" and any(shard.is_remote for shard in shards):
            self.num_workers = None  # measuring reads everywhere, which would fetch all shards
        num_nodes = 1 if self.trainer is None else self.trainer.num_nodes
        num_needed = self.shuffle_shards + self._num_ahead(len(numbers) / max(len(np.unique(numbers)), 1))
        self.cache.check_room(shards, num_needed=num_needed, num_processes=-(-world_size // num_nodes))
        prefetcher = Prefetcher(self.cache)
        return ShardBatchSampler(
            numbers,
            batch_size=self.batch_size,
            shuffle_shards=self.shuffle_shards,
            seed=self.seed,
            rank=rank,
            world_size=world_size,
            announce=lambda number: prefetcher.fetch(shards[number]),
        )

    def _num_ahead(self, images_per_shard: float) -> int:
        """Return how many shards are needed besides the open ones, because workers read some batches ahead."""
        num_workers = self.num_workers if isinstance(self.num_workers, int) else min(num_processors(), MAX_WORKERS)
        images = self.batch_size * (1 + num_workers * self.prefetch)
        return AHEAD + math.ceil(images / images_per_shard)


def read_shards(
    *,
    cache: ShardCache,
    root: str | None = None,
    train: str | Sequence[str] | None = None,
    val: str | Sequence[str] | None = None,
    test: str | Sequence[str] | None = None,
    label_names: Sequence[str] | None = None,
    keys: Keys = Keys(),  # noqa: B008  # immutable
    val_fraction: float = 0.1,
    test_fraction: float = 0.1,
    seed: int = 1,
    class_names: Sequence[str] | None = None,
) -> Splits:
    """List the images of shards; each is read later from the place given by the index.

    Shards that imgrec did not write are indexed in one pass over them; the index is kept in the cache.

    Args:
        cache: Cache for remote shards and indexes.
        root: Folder or URL of shards that imgrec wrote.
        train: Shards by path or URL, with braces (`train-{000000..000127}.tar`); local ones may have `*` too.
        val: The same for validation.
        test: The same for the test.
        label_names: Names of labels 0, 1, ...; None = those of the writer, or the labels themselves.
        keys: Which members of a sample to use.
        val_fraction: As in `assemble`, like `test_fraction`, `seed` and `class_names`.
        test_fraction: See `assemble`.
        seed: See `assemble`.
        class_names: See `assemble`.

    Raises:
        DataError: A shard is absent, damaged, in two splits, or without images; or as in `assemble`.
    """
    tables = ShardTables(cache, keys)
    given = {name: place for name, place in (("train", train), ("val", val), ("test", test)) if place is not None}
    places = tables.of_root(root) if root is not None else {}
    places |= {name: list_shards(name, place) for name, place in given.items()}
    if not places:
        raise DataError("No shards are named. Set data.root=FOLDER, or data.train='FOLDER/train-{000000..000127}.tar'.")
    _check_once(places)
    parts = {name: tables.part(of_part) for name, of_part in places.items()}
    labels = _Labels.of(parts, label_names)
    found = Found(
        where=", ".join(f"data.{key}={place}" for key, place in {"root": root, **given}.items() if place is not None),
        parts={name: _samples(part, labels, cache) for name, part in parts.items()},
        label_names=labels.names,
        class_names=label_names or _class_names(parts),
        task="multilabel" if labels.are_many else "single",
        notes=_notes(parts),
    )
    return assemble(found, class_names=class_names, val_fraction=val_fraction, test_fraction=test_fraction, seed=seed)


def _check_once(places: Mapping[str, Sequence[str]]) -> None:
    split_of: dict[str, str] = {}
    for split, of_split in places.items():
        for place in of_split:
            if (other := split_of.setdefault(place, split)) != split:
                raise DataError(f"{place} is in data.{other} and in data.{split}: metrics on it would be too good.")


def _class_names(parts: Mapping[str, Part]) -> list[str] | None:
    """Return the class list that the writer stored in all the shards, None where they have none in common."""
    lists = [part.facts.get("class_names") for part in parts.values()]
    return lists[0] if lists[0] and all(names == lists[0] for names in lists) else None


def _notes(parts: Mapping[str, Part]) -> list[Note]:
    excluded = sum((part.excluded for part in parts.values()), Counter[str]())
    counts = [f"{count:,} {reason}" for reason, count in sorted(excluded.items())]
    return [Note("excluded", f"Excluded from the shards: {listed(counts)}.")] if counts else []


# Labels


@dataclass(frozen=True)
class _Labels:
    """The labels of all parts: class names, class name by label as stored in a shard, whether images have several."""

    names: Sequence[str]
    name_of: Mapping[str, str]
    are_many: bool

    @staticmethod
    def of(parts: Mapping[str, Part], label_names: Sequence[str] | None) -> "_Labels":
        """Collect the labels."""
        import pyarrow.compute

        texts = {
            text
            for part in parts.values()
            for text in pyarrow.compute.unique(pyarrow.compute.list_flatten(part.table["labels"])).to_pylist()
        }
        name_of = {text: _name(text, label_names) for text in texts}
        are_many = any(part.facts.get("multilabel") for part in parts.values())
        return _Labels(sort_names(name_of.values()), name_of, are_many)

    def indices(self, column: "pyarrow.ChunkedArray") -> Any:
        """Return int64 (N,), or uint8 (N, C) of 0 and 1, for lists of texts."""
        import pyarrow.compute

        index_of = {name: index for index, name in enumerate(self.names)}
        encoded = pyarrow.compute.list_flatten(column).combine_chunks().dictionary_encode()
        numbers = np.array([index_of[self.name_of[text]] for text in encoded.dictionary.to_pylist()], dtype=np.int64)
        flat = numbers[encoded.indices.to_numpy()]
        if not self.are_many:
            return flat
        rows = pyarrow.compute.list_parent_indices(column.combine_chunks()).to_numpy()
        labels = np.zeros((len(column), len(self.names)), dtype=np.uint8)
        labels[rows, flat] = 1
        return labels


def _name(text: str, label_names: Sequence[str] | None) -> str:
    if label_names is None or not text.isascii() or not text.isdigit() or text in label_names:
        return text
    if int(text) >= len(label_names):
        last = len(label_names) - 1
        raise DataError(f"The shards have label {text}, but data.class_names names only 0 to {last}. Name them all.")
    return label_names[int(text)]


# Samples


def _samples(part: Part, labels: _Labels, cache: ShardCache) -> Samples:
    table = part.table
    names = StringColumn(_one_block(table["name"]))
    images = ShardImages(
        shards=part.shards,
        cache=cache,
        names=names,
        shard=part.shard,
        offset=table["offset"].to_numpy(),
        size=table["size"].to_numpy(),
    )
    _check_places(images)
    return Samples(names=names, images=images, labels=labels.indices(table["labels"]), groups=_groups(table))


def _check_places(images: ShardImages) -> None:
    """Check that every image is inside its shard, whatever a damaged or hostile index says."""
    ends = np.array([shard.size for shard in images.shards], dtype=np.int64)[images.shard]
    good = (images.offset >= 0) & (images.size >= 0) & (images.size <= MAX_FILE_BYTES)
    good &= images.offset <= ends - images.size
    if not good.all():
        first = int(np.argmin(good))
        raise DataError(f"{images.names[first]}: its index names a place outside the shard. Make the index again.")


def _groups(table: "pyarrow.Table") -> StringColumn | None:
    """Return the group of each image, None where no image has one; an image without is a group by itself."""
    import pyarrow.compute

    if table["group"].null_count == len(table):
        return None
    return StringColumn(_one_block(pyarrow.compute.coalesce(table["group"], table["name"])))


def _one_block(column: "pyarrow.ChunkedArray") -> "pyarrow.Array":
    import pyarrow

    block = column.cast(pyarrow.large_string()).combine_chunks()  # of more than 2 GB, too
    return block if isinstance(block, pyarrow.Array) else block.chunk(0)
