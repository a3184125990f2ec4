"""imgrec.data.prepared: images decoded once, made smaller, and written so that a folder is whole or absent."""

import multiprocessing
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from imgrec.core.system.worker_pool import Lost
from imgrec.data.images.collections import ArrayImages, FileImages
from imgrec.data.images.image import read_image
from imgrec.data.images.preprocess import Preprocess
from imgrec.data.prepared import place, shrink
from imgrec.data.prepared.build import Source, prepare
from imgrec.data.prepared.order import in_order
from imgrec.data.prepared.pack import Packer
from imgrec.data.prepared.place import new_folder
from imgrec.data.prepared.prepared_format import MANIFEST, TABLE, Manifest
from imgrec.data.prepared.shrink import MAX_SIDE_PX, Shrink, kept_size
from imgrec.data.samples import Samples
from imgrec.errors import ConfigError, DataError

SIZES = [(40, 60), (64, 33), (50, 50), (20, 30), (90, 31), (32, 100)]  # height, width


def sample_image(height: int, width: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def write_images(folder: Path, sizes=SIZES) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:02d}.png" for number in range(len(sizes))]
    for number, (path, size) in enumerate(zip(paths, sizes, strict=True)):
        Image.fromarray(sample_image(*size, seed=number)).save(path)
    return paths


def source(folder: Path, **parts: int) -> Source:
    """Return a source of files; `parts`: how many images each part has."""
    found = {}
    for part, count in (parts or {"all": len(SIZES)}).items():
        paths = write_images(folder / part, [SIZES[i % len(SIZES)] for i in range(count)])
        found[part] = Samples([str(path) for path in paths], FileImages(paths), np.arange(count) % 2)
    return Source("data.root=photos", found, ["cat", "dog"])


def run(folder: Path, output: Path, **options) -> Manifest:
    given_source = options.pop("source") if "source" in options else source(folder)
    manifest, _ = prepare(given_source, output, **{"shrink": Shrink(32), "workers": 1, **options})
    return manifest


def rows(output: Path) -> list[dict]:
    return pq.read_table(output / TABLE).to_pylist()


def pixels(output: Path, row: dict) -> np.ndarray:
    content = (output / f"pixels-{row['shard']:05d}.bin").read_bytes()
    size = row["height"] * row["width"] * 3
    flat = np.frombuffer(content[row["offset"] : row["offset"] + size], dtype=np.uint8)
    return flat.reshape(row["height"], row["width"], 3)


# One image


@given(height=st.integers(1, 400), width=st.integers(1, 400), side=st.integers(8, 200), crop=st.integers(1, 200))
@settings(max_examples=150, deadline=None)
def test_preprocessing_what_is_kept_gives_the_same_pixels_as_preprocessing_the_image(height, width, side, crop):
    preprocess = Preprocess(size=min(crop, side), resize=side)
    image = sample_image(height, width)
    assert np.array_equal(preprocess(Shrink(side)(image)), preprocess(image))


@pytest.mark.parametrize("interpolation", ["nearest", "bicubic", "lanczos"])
def test_so_it_does_with_every_interpolation(interpolation):
    preprocess = Preprocess(size=28, resize=32, interpolation=interpolation)
    image = sample_image(77, 51)
    assert np.array_equal(preprocess(Shrink(32, interpolation)(image)), preprocess(image))


def test_the_longest_strip_that_can_be_read_is_still_resized_as_a_whole_by_preprocessing():
    assert MAX_SIDE_PX * 20_000 <= 32_000_000


@pytest.mark.parametrize("size", [(32, 32), (31, 500), (500, 31), (32, 33)])
def test_an_image_whose_shorter_side_is_no_longer_than_asked_for_is_not_touched(size):
    image = sample_image(*size)
    assert kept_size(*size, side=32) == size
    assert np.array_equal(Shrink(32)(image), image)


def test_a_side_out_of_range_is_an_error():
    with pytest.raises(ConfigError, match=r"--side=7, but .* from 8 to 1536"):
        Shrink(7)


def test_an_unknown_interpolation_is_an_error():
    with pytest.raises(ConfigError, match=r"--interpolation=bilinaer: use one of .* Did you mean 'bilinear'"):
        Shrink(32, "bilinaer")


# Order


def test_results_come_in_order():
    results = [(2, "c"), (0, "a"), (1, "b"), (4, "e"), (3, "d")]
    assert [index for index, _ in in_order(results, size=len, most=10)] == [0, 1, 2, 3, 4]


def test_results_behind_a_late_one_do_not_wait_for_ever():
    results = [(1, "bb"), (2, "cc"), (3, "dd"), (0, "aa"), (4, "ee")]
    assert list(in_order(results, size=len, most=5)) == [(1, "bb"), (2, "cc"), (3, "dd"), (0, "aa"), (4, "ee")]


# Files of pixels


def test_each_image_begins_at_a_multiple_of_64_bytes(tmp_path):
    packer = Packer(tmp_path)
    places = [packer.add(sample_image(3, 5, seed=seed)) for seed in range(3)]
    packer.finish()
    assert [tuple(where) for where in places] == [(0, 0), (0, 64), (0, 128)]
    content = (tmp_path / "pixels-00000.bin").read_bytes()
    assert content[64 : 64 + 45] == sample_image(3, 5, seed=1).tobytes()
    assert packer.shards[0].num_bytes == len(content) == 128 + 45


def test_a_file_ends_before_it_grows_too_large(tmp_path):
    packer = Packer(tmp_path, shard_bytes=210)
    places = [packer.add(sample_image(5, 5, seed=seed)).shard for seed in range(4)] + [
        packer.add(sample_image(20, 20)).shard
    ]
    packer.finish()
    assert places == [0, 0, 1, 1, 2]
    assert [shard.num_bytes for shard in packer.shards] == [128 + 75, 128 + 75, 1200]


# The whole


def test_pixels_are_those_of_the_files_made_smaller(tmp_path):
    run(tmp_path / "photos", tmp_path / "out")
    for number, row in enumerate(rows(tmp_path / "out")):
        expected = Shrink(32)(read_image(Path(row["name"])))
        assert np.array_equal(pixels(tmp_path / "out", row), expected)
        assert (row["source_height"], row["source_width"]) == SIZES[number]


def test_the_table_says_what_the_source_says(tmp_path):
    given_source = source(tmp_path / "photos", train=4, test=2)
    run(tmp_path, tmp_path / "out", source=given_source)
    found = rows(tmp_path / "out")
    assert [row["name"] for row in found] == [*given_source.parts["train"].names, *given_source.parts["test"].names]
    assert [row["split"] for row in found] == ["train"] * 4 + ["test"] * 2
    assert [row["label"] for row in found] == ["cat", "dog", "cat", "dog", "cat", "dog"]
    assert {row["code"] for row in found} == {""}


def test_the_description_counts(tmp_path):
    run(tmp_path, tmp_path / "out", source=source(tmp_path / "photos", train=4, test=2))
    manifest = Manifest.read(tmp_path / "out")
    assert manifest.counts == {"train": 4, "test": 2}
    assert (manifest.side, manifest.interpolation, manifest.is_unsplit, manifest.num_bad) == (32, "bilinear", False, 0)
    assert manifest.class_names == ["cat", "dog"]


def test_the_result_does_not_depend_on_the_number_of_processes(tmp_path):
    given_source = source(tmp_path / "photos", all=24)
    for workers in (1, 3):
        run(tmp_path, tmp_path / f"out{workers}", source=given_source, workers=workers)
    one, three = tmp_path / "out1", tmp_path / "out3"
    assert sorted(file.name for file in one.iterdir()) == [TABLE, "pixels-00000.bin", MANIFEST]
    for file in one.iterdir():
        assert file.read_bytes() == (three / file.name).read_bytes()


def test_images_in_memory_can_be_prepared(tmp_path):
    array = np.stack([sample_image(40, 50, seed=seed) for seed in range(3)])
    samples = Samples(["a", "b", "c"], ArrayImages(array), np.zeros(3, dtype=np.int64))
    run(tmp_path, tmp_path / "out", source=Source("data=arrays", {"all": samples}, ["x", "y"]))
    assert np.array_equal(pixels(tmp_path / "out", rows(tmp_path / "out")[1]), Shrink(32)(array[1]))


def test_the_fingerprint_changes_with_a_label_and_that_of_the_files_with_a_file(tmp_path):
    given_source = source(tmp_path / "photos", all=4)
    first = run(tmp_path, tmp_path / "1", source=given_source)
    again = run(tmp_path, tmp_path / "2", source=given_source)
    assert again == first
    os.utime(given_source.parts["all"].names[0], ns=(1, 1))
    touched = run(tmp_path, tmp_path / "3", source=given_source)
    assert touched.fingerprint == first.fingerprint
    assert touched.files_fingerprint != first.files_fingerprint
    given_source.parts["all"].labels[0] = 1
    assert run(tmp_path, tmp_path / "4", source=given_source).fingerprint != first.fingerprint


# Bad files


def with_bad_file(folder: Path, count: int = 6) -> Source:
    found = source(folder, all=count)
    Path(found.parts["all"].names[2]).write_bytes(b"nothing")
    return found


def test_a_bad_file_is_a_row_with_its_reason(tmp_path):
    manifest, bad = prepare(
        with_bad_file(tmp_path / "photos"), tmp_path / "out", shrink=Shrink(32), workers=1, max_bad=1
    )
    row = rows(tmp_path / "out")[2]
    assert manifest.num_bad == 1
    assert [error.path for error in bad] == [row["name"]]
    assert (row["code"], row["shard"], row["offset"], row["height"]) == ("not_an_image", -1, -1, 0)


def test_too_many_bad_files_are_an_error_that_names_them_and_leaves_nothing(tmp_path):
    with pytest.raises(
        DataError, match=r"1 images cannot be read, but of 6 at most 0 may be unreadable \(--max-bad 0.01\)[^$]*02.png"
    ):
        run(tmp_path, tmp_path / "out", source=with_bad_file(tmp_path / "photos"))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["photos"]


def test_an_image_over_which_a_process_dies_is_a_row(tmp_path, monkeypatch):
    monkeypatch.setattr(shrink, "run_in_workers", dying)
    manifest, bad = prepare(source(tmp_path / "photos"), tmp_path / "out", shrink=Shrink(32), max_bad=1)
    assert (manifest.num_bad, bad[0].code) == (1, "crashed")


def dying(task, items, **_):
    for index, item in items:
        yield index, Lost("crashed", "died") if index == 0 else task(item)


# Where it is written


def test_a_folder_with_other_content_is_never_changed(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(DataError, match="has other content"):
            run(tmp_path / "photos", tmp_path / "out", overwrite=overwrite)
    assert (tmp_path / "out" / "thesis.txt").read_text() == "mine"


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "out").mkdir()
    run(tmp_path / "photos", tmp_path / "out")
    assert (tmp_path / "out" / MANIFEST).is_file()


def test_prepared_data_is_replaced_only_when_asked_for(tmp_path):
    run(tmp_path / "photos", tmp_path / "out")
    with pytest.raises(DataError, match=r"has prepared data already\. Replace it with --overwrite"):
        run(tmp_path / "photos", tmp_path / "out")
    run(tmp_path / "photos", tmp_path / "out", shrink=Shrink(16), overwrite=True)
    assert Manifest.read(tmp_path / "out").side == 16
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["out", "photos"]


def test_a_failure_leaves_the_earlier_data_as_it_was(tmp_path):
    run(tmp_path / "photos", tmp_path / "out")
    before = {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}
    with pytest.raises(DataError, match="cannot be read"):
        run(tmp_path, tmp_path / "out", source=with_bad_file(tmp_path / "photos"), overwrite=True)
    assert {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()} == before


def test_what_an_interrupted_process_left_is_removed(tmp_path):
    part = tmp_path / ".out.part"
    (part / "old").mkdir(parents=True)
    (part / "pixels-00007.bin").write_bytes(b"half")
    run(tmp_path / "photos", tmp_path / "out")
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [TABLE, "pixels-00000.bin", MANIFEST]
    assert not part.exists()


def test_a_killed_process_leaves_no_folder_and_the_next_one_starts_clean(tmp_path):
    write_images(tmp_path / "photos")
    started = multiprocessing.get_context("spawn").Process(target=hang, args=(tmp_path / "out",))
    started.start()
    deadline = time.monotonic() + 60
    while not (tmp_path / ".out.part" / "half").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(started.pid, signal.SIGKILL)
    started.join()
    assert not (tmp_path / "out").exists()
    assert (tmp_path / ".out.part" / "half").exists()
    run(tmp_path / "photos", tmp_path / "out")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["out", "photos"]


def hang(output: Path) -> None:
    with new_folder(output) as folder:
        (folder / "half").write_text("")
        time.sleep(600)


def test_two_at_a_time_are_refused(tmp_path):
    with new_folder(tmp_path / "out"), pytest.raises(DataError, match="Another process is preparing"):
        run(tmp_path / "photos", tmp_path / "out")
    assert (tmp_path / "out").is_dir()


def test_a_disk_without_room_is_said_before_anything_is_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(place.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(DataError, match=r"About 0.0 GB are needed, .* 0.0 GB free"):
        run(tmp_path / "photos", tmp_path / "out")
    assert not (tmp_path / ".out.part").exists()


def test_a_disk_that_fills_up_is_said_and_leaves_nothing(tmp_path, monkeypatch):
    def full(self, pixels):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Packer, "add", full)
    with pytest.raises(DataError, match="cannot be written: the disk is full"):
        run(tmp_path / "photos", tmp_path / "out")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["photos"]


def test_a_file_in_the_way_is_an_error(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(DataError, match="is no folder"):
        run(tmp_path / "photos", tmp_path / "out")


def test_no_images_are_an_error(tmp_path):
    empty = Samples([], FileImages([]), np.zeros(0, dtype=np.int64))
    with pytest.raises(DataError, match="no images to prepare"):
        run(tmp_path, tmp_path / "out", source=Source("data.root=photos", {"all": empty}, ["x"]))
