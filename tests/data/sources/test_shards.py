"""Shards as data: labels, splits, batches; on this machine and from a server."""

import io
import json
import shutil
import tarfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from imgrec.data.images.preprocess import Preprocess
from imgrec.data.loading.datamodule import ImageDataModule
from imgrec.data.samples import Samples
from imgrec.data.shards import remote
from imgrec.data.shards.shard_cache import ShardCache
from imgrec.data.shards.tar_index import Keys, load_index, make_index, save_index
from imgrec.data.shards.tar_writer import write_tar_shards
from imgrec.data.sources.shards import ShardsData, read_shards
from imgrec.errors import ConfigError, DataError, ImageError
from script import TWO, start
from shard_server import CLASSES, noise_samples, serving, write_noise
from small_run import Draws, Killed, Trace, fit
from tar_files import tar


def keep(image: Any) -> Any:
    return image


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder of shards (seven for training), and what was written."""
    folder = tmp_path_factory.mktemp("shards") / "out"
    return folder, write_noise(folder, train=60, val=12, test=9)


@pytest.fixture
def served(written, monkeypatch):
    monkeypatch.setattr(remote, "WAITS_S", (0.0, 0.0))
    with serving(written[0]) as server:
        yield server


@pytest.fixture
def cache(tmp_path):
    return ShardCache(tmp_path / "near", 10**9)


def data(root: Any = None, *, cache_dir: Path | None = None, **options: Any) -> ShardsData:
    options = {"preprocess": keep, "num_workers": 0, "batch_size": 8, "shuffle_shards": 2} | options
    return ShardsData(root=None if root is None else str(root), cache_dir=cache_dir and str(cache_dir), **options)


def batches(one: ImageDataModule, loader: Any) -> list[dict[str, Any]]:
    found = [one.on_before_batch_transfer(batch, 0) for batch in loader]
    loader.end_workers()
    return found


def assert_same(found: Samples, expected: Samples) -> None:
    assert sorted(found.names) == sorted(expected.names)
    place_of = {name: place for place, name in enumerate(expected.names)}
    for place, name in enumerate(found.names):
        assert np.array_equal(found.images[place], expected.images[place_of[name]])
        assert found.labels[place] == expected.labels[place_of[name]]
        assert found.groups is None or found.groups[place] == expected.groups[place_of[name]]


# What is read


@pytest.mark.parametrize("place", ["folder", "server"])
def test_what_was_written_is_read(written, served, cache, place):
    folder, parts = written
    splits = read_shards(root=str(folder) if place == "folder" else served.url, cache=cache)
    assert splits.class_names == CLASSES
    for name, expected in parts.items():
        assert_same(getattr(splits, name), expected)
    # The seeds of the noise differ, but its groups are called alike in every split.
    assert len(splits.notes) == 3


def test_shards_can_be_named_one_by_one(written, cache):
    folder, parts = written
    splits = read_shards(train=f"{folder}/train-{{000000..000002}}.tar", val=f"{folder}/val-*.tar", cache=cache)
    assert splits.test is None
    assert len(splits.train) == sum(
        1 for row in load_index((folder / "index.parquet").read_bytes(), name="i")[0].to_pylist()
        if row["shard"] in ("train-000000.tar", "train-000001.tar", "train-000002.tar")
    )  # fmt: skip
    assert_same(splits.val, parts["val"])


@pytest.mark.parametrize("place", ["folder", "server"])
def test_shards_without_an_index_are_read_by_their_headers_once(written, cache, tmp_path, place, monkeypatch):
    folder, parts = written
    others = tmp_path / "others"
    shutil.copytree(folder, others)
    (others / "index.parquet").unlink()
    keys = Keys(label="label", group="group")
    with serving(others) as server:
        base = str(others) if place == "folder" else server.url
        places = [f"{base}/{path.name}" for path in sorted(others.glob("train-*.tar"))]
        splits = read_shards(train=places, cache=cache, keys=keys, val_fraction=0.0)
        monkeypatch.setattr("imgrec.data.shards.shard_tables.index_shard", None)
        again = read_shards(train=places, cache=cache, keys=keys, val_fraction=0.0)
        pixels = sorted(splits.train.images[i].tobytes() for i in range(60))
    assert list(again.train.names) == list(splits.train.names)
    assert pixels == sorted(parts["train"].images[i].tobytes() for i in range(60))
    assert splits.train.names[0] == "train-000000.tar/00.png"
    assert splits.class_names == CLASSES


def test_numbers_get_the_names_given(tmp_path, cache):
    pack(tmp_path / "s.tar", {"1": "0", "2": "2", "3": "1", "4": "2"})
    splits = read_shards(train=str(tmp_path / "s.tar"), cache=cache, val_fraction=0.0, label_names=["x", "y", "z"])
    assert splits.class_names == ["x", "y", "z"]
    assert splits.train.labels.tolist() == [0, 2, 1, 2]
    assert read_shards(train=str(tmp_path / "s.tar"), cache=cache, val_fraction=0.0).class_names == ["0", "1", "2"]


def test_numbers_without_a_name_are_refused(tmp_path, cache):
    pack(tmp_path / "s.tar", {"1": "0", "2": "2"})
    with pytest.raises(DataError, match=r"have label 2, but data\.class_names names only 0 to 1"):
        read_shards(train=str(tmp_path / "s.tar"), cache=cache, label_names=["x", "y"])


def test_texts_are_their_own_names(tmp_path, cache):
    pack(tmp_path / "s.tar", {"1": "dog", "2": "cat", "3": "dog"})
    splits = read_shards(train=str(tmp_path / "s.tar"), cache=cache, val_fraction=0.0)
    assert splits.class_names == ["cat", "dog"]
    assert splits.train.labels.tolist() == [1, 0, 1]
    splits = read_shards(test=str(tmp_path / "s.tar"), cache=cache, class_names=["cow", "dog", "cat"])
    assert splits.test.labels.tolist() == [1, 2, 1]


def test_several_labels_come_back(tmp_path, cache):
    labels = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]], np.uint8)
    samples = noise_samples(3)
    samples = Samples(samples.names, samples.images, labels)
    write_tar_shards({"train": samples}, class_names=CLASSES, output=tmp_path / "o")
    splits = read_shards(root=str(tmp_path / "o"), cache=cache, val_fraction=0.0)
    assert splits.task == "multilabel"
    places = [list(samples.names).index(name) for name in splits.train.names]
    assert np.array_equal(splits.train.labels, labels[places])


def test_unsplit_shards_are_split_when_they_are_read_and_groups_stay_whole(tmp_path, cache):
    write_tar_shards({"all": noise_samples(80)}, class_names=CLASSES, output=tmp_path / "o", shard_mb=0.01)
    splits = read_shards(root=str(tmp_path / "o"), cache=cache)
    assert (len(splits.train), len(splits.val), len(splits.test)) == (64, 8, 8)
    assert not set(splits.train.groups) & set(splits.val.groups)
    assert splits.is_unsplit


def test_what_is_excluded_is_noted(tmp_path, cache):
    members = [("1.jpg", b""), ("1.cls", b"0"), ("1.pkl", b"cos\n"), ("2.jpg", b""), ("2.cls", b"1"), ("../x", b"")]
    (tmp_path / "s.tar").write_bytes(tar(*members))
    splits = read_shards(train=str(tmp_path / "s.tar"), cache=cache, val_fraction=0.0)
    assert [str(note) for note in splits.notes] == [
        "Excluded from the shards: 1 .pkl, 1 name that leads outside the shard."
    ]


def pack(path: Path, labels: dict[str, str], image: bytes = b"") -> None:
    members = [(f"{key}.{ending}", content) for key, label in labels.items()
               for ending, content in (("jpg", image), ("cls", label.encode()))]  # fmt: skip
    path.write_bytes(tar(*members))


# What is refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "No shards are named"),
        ({"root": ""}, "data.root='' has no"),
        ({"root": "{folder}/.."}, r"has no index\.parquet: it is no finished output"),
        ({"train": "{folder}/train-*.tar", "val": "{folder}/train-000000.tar"}, "is in data.train and in data.val"),
        ({"train": "{folder}/train-00000x.tar"}, "no such file. Did you mean"),
        ({"train": "{url}/no.tar"}, r"/no\.tar does not exist"),
        ({"train": "ftpx://h/no.tar"}, "'ftpx' is not supported. Did you mean 'ftp'"),
    ],
)  # fmt: skip
def test_what_names_no_data_is_said(written, served, cache, options, message):
    options = {key: value.format(folder=written[0], url=served.url) for key, value in options.items()}
    with pytest.raises(DataError, match=message):
        read_shards(**options, cache=cache)


def test_a_shard_that_is_not_the_one_of_its_index_is_refused(written, cache, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(written[0], folder)
    with (folder / "train-000001.tar").open("ab") as file:
        file.truncate(5000)
    with pytest.raises(DataError, match=r"train-000001\.tar has 5,000 bytes, but its index says"):
        read_shards(root=str(folder), cache=cache)
    (folder / "train-000001.tar").unlink()
    with pytest.raises(DataError, match=r"train-000001\.tar does not exist"):
        read_shards(root=str(folder), cache=cache)


def test_a_shard_that_is_cut_while_it_is_used_costs_its_images(written, cache, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(written[0], folder)
    splits = read_shards(root=str(folder), cache=cache)
    with (folder / "val-000000.tar").open("ab") as file:
        file.truncate(600)
    with pytest.raises(ImageError, match=r"noise/2/.* val-000000\.tar ends inside it.*\[truncated\]"):
        [splits.val.images[index] for index in range(12)]


def test_a_remote_shard_with_other_bytes_is_not_used(served, cache):
    served.faults["val-000000.tar"] = ["other"] * 9
    splits = read_shards(root=served.url, cache=cache)
    with pytest.raises(DataError, match=r"val-000000\.tar could not be fetched.*SHA-256"):
        [splits.val.images[index] for index in range(12)]


@pytest.mark.parametrize(
    ("shards", "row", "message"),
    [
        ({"../x.tar": {"size": 1, "split": "train"}}, {}, r"lists '\.\./x\.tar', which is no shard beside it"),
        ({"http://h/x.tar": {"size": 1, "split": "train"}}, {}, "which is no shard beside it"),
        ({"s.tar": {"size": -1, "split": "train"}}, {}, "which is no shard beside it"),
        ({"s.tar": {"size": 1, "split": "__class__"}}, {}, "which is no shard beside it"),
        ({}, {"shard": "s.tar"}, "does not list its shards"),
        (None, {"offset": 10**12}, "names a place outside the shard"),
        (None, {"offset": -1}, "names a place outside the shard"),
        (None, {"size": -1}, "names a place outside the shard"),
        (None, {"size": 2**62, "offset": 2**62}, "names a place outside the shard"),
    ],
)
def test_an_index_that_deceives_is_refused(tmp_path, cache, shards, row, message):
    pack(tmp_path / "s.tar", {"1": "0"})
    size = (tmp_path / "s.tar").stat().st_size
    good = {"shard": "s.tar", "name": "n", "offset": 512, "size": 1, "labels": ["0"], "group": None}
    shards = {"s.tar": {"size": size, "split": "train"}} if shards is None else shards
    rows = [good | row] if row else []
    save_index(make_index(rows, {"shards": shards, "class_names": ["0", "1"]}), tmp_path / "index.parquet")
    with pytest.raises(DataError, match=message):
        read_shards(root=str(tmp_path), cache=cache)


def test_a_pickle_in_a_shard_is_never_opened(tmp_path, cache):
    """The bytes would make a file if anything unpickled them, whatever their member is called."""
    trap = f"cpathlib\nPath\n(S'{tmp_path / 'sprung'}'\ntR.".encode()
    endings = ("pkl", "pyd", "pth", "npy", "jpg", "cls", "json")
    members = [(f"{number}.{ending}", trap) for number, ending in enumerate(endings)]
    members += [("9.jpg", trap), ("9.cls", b"1"), ("8.jpg", trap), ("8.cls", b"2")]
    (tmp_path / "s.tar").write_bytes(tar(*[member for member in members if member[0] != "4.jpg"]))
    splits = read_shards(train=str(tmp_path / "s.tar"), cache=cache, val_fraction=0.0)
    for index in range(2):
        with pytest.raises(ImageError, match="not_an_image"):
            splits.train.images[index]
    assert not (tmp_path / "sprung").exists()


def test_a_cache_too_small_for_the_open_shards_is_refused_before_the_start(served, tmp_path):
    one = data(served.url, cache_dir=tmp_path / "near", cache_gb=1e-5)
    with pytest.raises(ConfigError, match=r"data\.cache_gb=1e-05, but reading needs 5 shards at a time"):
        one.train_dataloader()


# Batches


@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches_from_a_server_are_those_of_the_folder(written, served, tmp_path, num_workers):
    here = data(written[0], augment=Draws(), seed=3)
    there = data(served.url, augment=Draws(), seed=3, cache_dir=tmp_path / "near", num_workers=num_workers)
    expected, found = (batches(one, one.train_dataloader()) for one in (here, there))
    assert [batch["indices"].tolist() for batch in found] == [batch["indices"].tolist() for batch in expected]
    for batch, other in zip(found, expected, strict=True):
        assert torch.equal(batch["images"], other["images"])
    val = batches(there, there.val_dataloader())
    assert torch.cat([batch["indices"] for batch in val]).tolist() == list(range(12))
    assert {name: count for name, count in served.gets.items() if count > 1} == {}


def size_of(path: Path) -> int:
    """Return the size of a file that a worker may remove meanwhile."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_epoch_through_a_small_cache_fetches_each_shard_once_and_keeps_the_bound(served, tmp_path, num_workers):
    sizes = sorted(shard.size for shard in data(served.url).split("train").images.shards)
    bound = sum(sizes[-5:])  # two are open, two more are near, and batches ahead reach into the next
    options = {"cache_gb": bound / 1e9, "batch_size": 1, "prefetch": 1, "num_workers": num_workers}
    one = data(served.url, cache_dir=tmp_path / "near", **options)
    seen: list[int] = []
    most = 0
    loader = one.train_dataloader()
    for batch in loader:
        seen += batch["indices"].tolist()
        most = max(most, sum(map(size_of, (tmp_path / "near").glob("*.tar"))))
    loader.end_workers()
    assert sorted(seen) == list(range(60))
    assert sum(sizes[:3]) < most <= bound
    assert {served.gets[f"train-{number:06d}.tar"] for number in range(len(sizes))} == {1}


def test_a_run_can_go_on_at_every_batch(written):
    whole = data(written[0], augment=Draws())
    loader = whole.train_dataloader()
    loader.sampler.set_epoch(1)
    expected = batches(whole, loader)
    for first in range(len(expected)):
        late = data(written[0], augment=Draws())
        late.load_state_dict({"epoch": 1, "batch": first})
        found = batches(late, late.train_dataloader())
        assert len(found) == len(expected) - first
        assert all(torch.equal(a["images"], b["images"]) for a, b in zip(found, expected[first:], strict=True))


def test_two_ranks_read_each_sample_once_and_share_no_more_than_a_shard(written):
    one = data(written[0])
    samples = one.split("train")
    ranks = [one.make_train_sampler(samples, rank=rank, world_size=2) for rank in (0, 1)]
    seen = [np.concatenate(sampler.batches(0)) for sampler in ranks]
    assert sorted(np.concatenate(seen)) == list(range(60))
    shards = [set(samples.images.shard[places]) for places in seen]
    assert len(shards[0] & shards[1]) <= 1
    assert len(ranks[0]) == len(ranks[1])


def test_a_division_of_the_images_keeps_the_order_of_shards(written, cache):
    folder, _ = written
    one = data(train=f"{folder}/train-*.tar", val_fraction=0.2)
    sampler = one.make_train_sampler(one.split("train"), rank=0, world_size=1)
    assert len(one.split("val")) == 12
    assert sorted(np.concatenate(sampler.batches(0))) == list(range(48))


def test_measuring_workers_is_not_for_remote_shards(served, tmp_path):
    one = data(served.url, cache_dir=tmp_path / "near", num_workers="auto")
    one.make_train_sampler(one.split("train"), rank=0, world_size=1)
    assert one.num_workers is None


def test_a_killed_run_ends_where_the_unbroken_one_ends(served, tmp_path):
    def source(name: str) -> ShardsData:
        return data(
            served.url, augment=Draws(), preprocess=Preprocess(size=8, mode="squash"), cache_dir=tmp_path / name
        )  # fmt: skip

    unbroken = Trace()
    _, net, _ = fit(tmp_path / "a", data=source("x"), callbacks=[unbroken], epochs=2)
    steps: dict[int, Any] = {}
    for machine, kill_after in (("y", 5), ("z", 6), ("y", None)):  # the second has nothing in its cache yet
        trace = Trace(stop_after=kill_after)
        with suppress(Killed):
            _, resumed, _ = fit(tmp_path / "b", data=source(machine), callbacks=[trace], epochs=2, resume=True)
        steps |= trace.steps
    assert steps == unbroken.steps
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), resumed.state_dict().values(), strict=True))


# The real thing


def test_a_real_set_goes_through_shards_unchanged(shared_data, tmp_path, cache):
    from imgrec.data.sources.folder import read_folder

    folder = read_folder(root=str(shared_data / "gtsrb32"), val_fraction=0.0)
    write_tar_shards({"train": folder.train}, class_names=folder.class_names, output=tmp_path / "o", shard_mb=0.5)
    shards = read_shards(root=str(tmp_path / "o"), cache=cache, val_fraction=0.0)
    assert list(shards.class_names) == list(folder.class_names)
    assert len(shards.train) == len(folder.train) == 688
    place_of = {name: place for place, name in enumerate(folder.train.names)}
    for place in range(0, 688, 7):
        other = place_of[shards.train.names[place]]
        assert np.array_equal(shards.train.images[place], folder.train.images[other])
        assert np.array_equal(shards.train.images.open(place).pixels(), folder.train.images[other])
        assert shards.train.labels[place] == folder.train.labels[other]
    with tarfile.open(tmp_path / "o" / "train-000000.tar") as archive:
        facts = json.load(io.BytesIO(archive.extractfile(archive.getnames()[2]).read()))
    assert facts["path"] in place_of


@pytest.mark.guard
def test_two_processes_train_from_a_server_and_fetch_each_shard_once(written, served, tmp_path):
    overrides = (
        f"data.root={served.url}",
        f"data.cache_dir={tmp_path / 'near'}",
        "data.num_workers=1",
        "data.batch_size=4",
    )
    said = start(
        "train.py", tmp_path, "data=shards", *overrides, "preprocess=small", "preprocess.size=12", "augment=none",
        "model=small_cnn", "trainer.max_epochs=1", "run_dir=run", *TWO
    )  # fmt: skip
    assert "Run folder: run" in said
    metrics = json.loads((tmp_path / "run" / "evaluation" / "metrics.json").read_text())
    assert metrics["num_samples"] == 9
    assert {count for name, count in served.gets.items() if name.endswith(".tar")} == {1}
