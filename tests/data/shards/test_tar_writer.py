"""Shards that imgrec writes, as other programs read them."""

import gc
import hashlib
import json
import tarfile
import warnings

import numpy as np
import pytest
from PIL import Image

from imgrec.data.images.collections import FileImages
from imgrec.data.samples import Samples
from imgrec.data.shards.tar_index import load_index
from imgrec.data.shards.tar_writer import write_tar_shards
from imgrec.errors import DataError, ImageError
from shard_server import CLASSES, noise_samples, write_noise


def files(tmp_path, formats=("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM", "AVIF")):
    """Write an image of each format under a name that says nothing."""
    paths = []
    for number, kind in enumerate(formats):
        paths.append(tmp_path / f"{number}.image")
        Image.fromarray(np.full((9, 8, 3), 20 * number, np.uint8)).save(paths[-1], format=kind)
    labels = np.arange(len(paths), dtype=np.int64) % 3
    return Samples([str(path) for path in paths], FileImages(paths), labels)


def members(folder):
    """Return name and content of all members, by Python's tarfile."""
    found = {}
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as archive:
            for info in archive:
                assert (info.mtime, info.uid, info.gid, info.uname, info.mode) == (0, 0, 0, "", 0o644)
                assert f"{path.name}/{info.name}" not in found
                found[f"{path.name}/{info.name}"] = archive.extractfile(info).read()
    return found


def test_image_files_are_copied_byte_for_byte_under_the_ending_of_their_content(tmp_path):
    samples = files(tmp_path)
    write_tar_shards({"train": samples}, class_names=CLASSES, output=tmp_path / "out")
    found = members(tmp_path / "out")
    for name, content in found.items():
        if name.endswith(".json"):
            facts = json.loads(content)
            label = int(found[name.replace(".json", ".cls")])
            assert facts == {"path": facts["path"], "label": CLASSES[label], "split": "train"}
            assert label == samples.labels[list(samples.names).index(facts["path"])]
    endings = [name.rpartition(".")[2] for name in found if not name.endswith((".json", ".cls"))]
    assert sorted(endings) == sorted(["jpg", "png", "bmp", "gif", "webp", "tif", "ppm", "avif"])
    images = {content for name, content in found.items() if name.endswith(tuple(endings))}
    assert images == {path.read_bytes() for path in samples.images.paths}


def test_the_package_webdataset_reads_them(tmp_path):
    wds = pytest.importorskip("webdataset")
    parts = write_noise(tmp_path / "out", train=30)
    shards = [str(path) for path in sorted((tmp_path / "out").glob("*.tar"))]
    assert len(shards) > 2
    with warnings.catch_warnings():  # it leaves its files open
        warnings.simplefilter("ignore", ResourceWarning)
        found = list(wds.WebDataset(shards, shardshuffle=False).decode("rgb8"))
        gc.collect()
    assert len({sample["__key__"] for sample in found}) == 30
    for sample in found:
        place = list(parts["train"].names).index(sample["json"]["path"])
        assert sample["cls"] == parts["train"].labels[place]
        assert sample["json"]["group"] == parts["train"].groups[place]
        assert np.array_equal(sample["png"], parts["train"].images[place])


def test_the_index_says_where_everything_is(tmp_path):
    write_noise(tmp_path / "out", train=30, val=9)
    table, facts = load_index((tmp_path / "out" / "index.parquet").read_bytes(), name="i")
    assert facts["class_names"] == CLASSES
    assert {name: known["split"] for name, known in facts["shards"].items()} == {
        path.name: path.name.partition("-")[0] for path in (tmp_path / "out").glob("*.tar")
    }
    found = members(tmp_path / "out")
    for row in table.to_pylist():
        data = (tmp_path / "out" / row["shard"]).read_bytes()
        assert data[row["offset"] :][: row["size"]] in found.values()
        known = facts["shards"][row["shard"]]
        assert (known["size"], known["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())


def test_the_same_images_give_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        write_noise(tmp_path / name, train=20)
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert one == two


def test_shards_keep_to_their_size_and_mix_the_classes(tmp_path):
    samples = noise_samples(60)
    order = np.argsort(samples.labels, kind="stable")
    write_tar_shards(
        {"train": samples.subset(order)}, class_names=CLASSES, output=tmp_path / "out", shard_mb=0.06
    )  # fmt: skip
    table, facts = load_index((tmp_path / "out" / "index.parquet").read_bytes(), name="i")
    assert max(known["size"] for known in facts["shards"].values()) <= 60_000 + 1024 + 10_240
    rows = table.to_pylist()
    of_shard = [[row["labels"][0] for row in rows if row["shard"] == shard] for shard in facts["shards"]]
    assert all(len(set(labels)) == 3 for labels in of_shard[:-1])  # the last one is what was left over
    assert len(of_shard) > 3


def test_several_labels_are_in_the_json_alone(tmp_path):
    samples = noise_samples(3)
    samples = Samples(samples.names, samples.images, np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]], np.uint8))
    write_tar_shards({"test": samples}, class_names=CLASSES, output=tmp_path / "out")
    labels = [json.loads(data)["labels"] for name, data in members(tmp_path / "out").items() if name.endswith("json")]
    assert sorted(labels) == [[], ["a", "c"], ["b"]]
    assert not [name for name in members(tmp_path / "out") if name.endswith(".cls")]


def test_progress_counts_all_images(tmp_path):
    seen = []
    parts = {"train": noise_samples(3), "val": noise_samples(2, seed=9)}
    write_tar_shards(
        parts, class_names=CLASSES, output=tmp_path / "o", progress=lambda done, total: seen.append((done, total))
    )  # fmt: skip
    assert seen == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]


def test_an_error_leaves_nothing(tmp_path):
    path = tmp_path / "no.jpg"
    path.write_text("hello")
    samples = Samples([str(path)], FileImages([path]), np.zeros(1, np.int64))
    with pytest.raises(ImageError, match=r"no\.jpg.*\[not_an_image\]"):
        write_tar_shards(
            {"train": noise_samples(20), "val": samples}, class_names=CLASSES, output=tmp_path / "o", shard_mb=0.01
        )
    assert [entry.name for entry in tmp_path.iterdir()] == ["no.jpg"]


def test_what_is_there_is_never_touched(tmp_path):
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / "mine").touch()
    with pytest.raises(DataError, match="has other content"):
        write_noise(tmp_path / "o", train=3)
    assert [entry.name for entry in (tmp_path / "o").iterdir()] == ["mine"]


def test_an_image_without_a_label_is_refused(tmp_path):
    samples = noise_samples(3)
    samples = Samples(samples.names, samples.images, np.array([0, -1, 2]))
    with pytest.raises(DataError, match=r"without a label.*noise/0/0001"):
        write_tar_shards({"train": samples}, class_names=CLASSES, output=tmp_path / "o")
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_said(tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("imgrec.data.shards.tar_writer._ShardFile._write", full)
    with pytest.raises(DataError, match=r"the disk is full.*--output DIR"):
        write_noise(tmp_path / "o", train=3)
    assert not list(tmp_path.iterdir())
