"""Files of version 0.1.0 still open: split files, prepared data, shards."""

import json
import shutil
from pathlib import Path

import numpy as np

from imgrec.data.shards.shard_cache import ShardCache
from imgrec.data.sources.folder import read_folder
from imgrec.data.sources.prepared import read_prepared
from imgrec.data.sources.shards import read_shards
from imgrec.data.splits.split_file import apply_split_file
from project import PROJECT

FILES = PROJECT / "tests" / "fixtures" / "before_layout"


def images():
    return read_folder(root=str(FILES / "images"))


def relative(samples):
    return [str(Path(name)).rpartition("images/")[2] for name in samples.names]


def test_a_split_file_gives_the_same_split():
    rows = json.loads((FILES / "split.json").read_text())["samples"]
    found = apply_split_file(images(), file=FILES / "split.json", fold=None)
    for split in ("train", "val", "test"):
        assert relative(getattr(found, split)) == [row["name"] for row in rows if row["part"] == split]
    assert "edited" not in {note.code for note in found.notes}


def test_a_file_of_folds_gives_the_same_folds():
    rows = json.loads((FILES / "folds.json").read_text())["samples"]
    found = apply_split_file(images(), file=FILES / "folds.json", fold=1)
    assert relative(found.test) == [row["name"] for row in rows if 1 in row["test"]]


def test_prepared_data_opens_with_its_pixels(tmp_path):
    shutil.copytree(FILES / "prepared", tmp_path / "prepared")
    prepared = read_prepared(root=str(tmp_path / "prepared"))
    files = images()
    assert prepared.is_unsplit
    for split in ("train", "val", "test"):
        one, other = getattr(prepared, split), getattr(files, split)
        assert relative(one) == relative(other)
        assert np.array_equal(one.labels, other.labels)
        assert all(np.array_equal(one.images[i], other.images[i]) for i in range(len(one)))


def test_shards_open_with_their_images(tmp_path):
    cache = ShardCache(tmp_path, limit_bytes=10**9)
    shards = read_shards(root=str(FILES / "shards"), cache=cache, val_fraction=0, test_fraction=0)
    files = read_folder(root=str(FILES / "images"), val_fraction=0, test_fraction=0)
    place = {name: row for row, name in enumerate(relative(files.train))}
    for row, name in enumerate(relative(shards.train)):
        assert np.array_equal(shards.train.images[row], files.train.images[place[name]])
    assert shards.class_names == files.class_names
