"""The scan: every image's facts, whatever its file does to the process that reads it."""

import csv
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgrec.auditing.scan import scan as scan_module
from imgrec.auditing.scan.facts import FactsTable
from imgrec.auditing.scan.scan import file_path, scan
from imgrec.data.images.collections import ArrayImages, FileImages
from imgrec.data.samples import Samples
from planted import photograph
from project import PROJECT


def part_of(paths, **options):
    return Samples([str(path) for path in paths], FileImages(list(paths)), np.zeros(len(paths), np.int64), **options)


def scanned(paths, **options) -> FactsTable:
    return scan({"train": part_of(paths)}, class_names=["any"], **{"workers": 2, **options})


def assert_equal(one: FactsTable, other: FactsTable):
    for name, column in vars(one).items():
        expected = vars(other)[name]
        assert np.array_equal(column, expected) if isinstance(column, np.ndarray) else column == expected, name


@pytest.fixture
def sample_images(tmp_path) -> list[Path]:
    (tmp_path / "photos").mkdir()
    paths = [tmp_path / "photos" / f"{number:02}.png" for number in range(20)]
    for number, path in enumerate(paths):
        photograph(number, width=60, height=40).save(path)
    return paths


def test_rows_are_in_the_order_of_the_parts_with_their_names_labels_and_groups(sample_images):
    parts = {
        "train": Samples([str(path) for path in sample_images[:5]], FileImages(sample_images[:5]), np.arange(5) % 2),
        "test": part_of(sample_images[5:7], groups=["anna", "berta"]).subset([1, 0]),
    }
    facts = scan(parts, class_names=["ant", "bee"], workers=2)
    assert facts.split == ["train"] * 5 + ["test"] * 2
    assert facts.name == [str(path) for path in [*sample_images[:5], sample_images[6], sample_images[5]]]
    assert facts.label.tolist() == [0, 1, 0, 1, 0, 0, 0]
    assert facts.group == ["", "", "", "", "", "berta", "anna"]
    assert facts.class_names == ["ant", "bee"]
    assert facts.width.tolist() == [60] * 7 and facts.height.tolist() == [40] * 7


def test_several_labels_an_image_are_no_label(sample_images):
    part = Samples(["a", "b"], FileImages(sample_images[:2]), np.array([[1, 1], [0, 1]], np.uint8))
    assert scan({"train": part}, class_names=["ant", "bee"], workers=1).label.tolist() == [-1, -1]


def test_facts_do_not_depend_on_the_number_of_workers_nor_on_what_is_kept(sample_images, tmp_path):
    sample_images[3].write_bytes(sample_images[3].read_bytes()[:900])
    store = tmp_path / "store.sqlite"
    one = scanned(sample_images, workers=1)
    assert_equal(one, scanned(sample_images, workers=3, store=store))
    assert_equal(one, scanned(sample_images, workers=1, store=store))
    assert Counter(one.code) == {"": 19, "truncated": 1}


def test_what_is_kept_is_not_read_again(sample_images, tmp_path, monkeypatch):
    facts = scanned(sample_images, store=tmp_path / "store.sqlite")

    def nothing_to_do(_, items, **__):
        assert list(items) == []
        return []

    monkeypatch.setattr(scan_module, "run_in_workers", nothing_to_do)
    assert_equal(scanned(sample_images, store=tmp_path / "store.sqlite"), facts)


def test_a_changed_image_is_read_again(sample_images, tmp_path):
    before = scanned(sample_images, store=tmp_path / "store.sqlite")
    photograph(99, width=80, height=50).save(sample_images[4])
    after = scanned(sample_images, store=tmp_path / "store.sqlite")
    assert np.flatnonzero(before.pixel_hash != after.pixel_hash).tolist() == [4]
    assert after.width[4] == 80


def test_a_stopped_scan_goes_on_from_where_it_was(sample_images, tmp_path, monkeypatch):
    def stop(done, total):
        if done == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scanned(sample_images, store=tmp_path / "store.sqlite", progress=stop)
    read = []
    run_in_workers = scan_module.run_in_workers
    monkeypatch.setattr(
        scan_module,
        "run_in_workers",
        lambda task, items, **options: run_in_workers(task, [read.append(item) or item for item in items], **options),
    )
    assert_equal(scanned(sample_images, store=tmp_path / "store.sqlite"), scanned(sample_images))
    assert len(read) == 8 + 20


def test_progress_counts_every_image_once(sample_images, tmp_path):
    seen = []
    for _ in range(2):  # read, then known
        scanned(sample_images, store=tmp_path / "store.sqlite", progress=lambda done, total: seen.append((done, total)))
    assert seen == 2 * [(done, 20) for done in range(1, 21)]


def test_a_store_that_cannot_be_written_is_said_and_the_scan_goes_on(sample_images, tmp_path):
    (tmp_path / "file").touch()
    notes = []
    facts = scanned(sample_images[:2], store=tmp_path / "file" / "store.sqlite", notes=notes)
    assert facts.code == ["", ""]
    assert len(notes) == 1 and "store.sqlite" in notes[0]


def test_pipes_folders_devices_and_broken_links_are_rows_and_never_opened(sample_images, tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "link.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "device.jpg").symlink_to("/dev/zero")
    odd = [tmp_path / f"{name}.jpg" for name in ("pipe", "folder", "device", "link")]
    facts = scanned([sample_images[0], *odd, sample_images[1]], timeout_s=10.0)
    assert facts.code == ["", "not_a_file", "not_a_file", "not_a_file", "unreadable", ""]


def test_an_image_that_takes_too_long_is_a_row(tmp_path, sample_images):
    Image.new("RGB", (9000, 9000)).save(tmp_path / "large.png", compress_level=1)
    facts = scanned([sample_images[0], tmp_path / "large.png", sample_images[1]], timeout_s=0.4, workers=1)
    assert facts.code == ["", "timeout", ""]
    assert facts.pixel_hash[1] == b"" and facts.width[1] == 0


def test_images_in_memory_have_facts_too_and_no_file():
    images = np.random.default_rng(0).integers(0, 256, (30, 28, 28), dtype=np.uint8)
    part = Samples([f"digits/{row}" for row in range(30)], ArrayImages(images), np.zeros(30, np.int64))
    facts = scan({"train": part}, class_names=["any"], workers=2)
    assert facts.code == [""] * 30
    assert len(set(facts.pixel_hash.tolist())) == 30
    assert facts.file_sha256 == facts.format == [""] * 30
    assert np.allclose(facts.brightness, images.mean(axis=(1, 2)), atol=0.01)
    assert file_path(part.images, 0) is None


def test_the_file_of_an_image_is_found_through_views(sample_images):
    part = part_of(sample_images).subset([7, 3, 5]).subset([2, 0])
    assert [file_path(part.images, row) for row in range(2)] == [sample_images[5], sample_images[7]]


def test_every_awkward_file_is_judged_as_its_index_says(shared_data, tmp_path):
    with (shared_data / "nasty" / "index.csv").open() as file:
        index = {row["file"]: row for row in csv.DictReader(file)}
    paths = [shared_data / "nasty" / "files" / name for name in sorted(index)]
    facts = scanned(paths)
    for name, code in zip(sorted(index), facts.code, strict=True):
        row = index[name]
        if row["verdict"] == "accept":
            too_small = min(int(row["upright_w"]), int(row["upright_h"])) < 8
            assert code == ("too_small" if too_small else ""), name
        if row["verdict"] in ("reject", "unsupported"):
            assert code not in ("", "crashed", "timeout"), name
        assert code not in ("crashed", "timeout"), name


def test_fuzzed_files_are_sorted_as_they_were_made(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(PROJECT / "benchmarks")
    from fuzzed_files import files

    made = {}
    for file in files(60, 240):
        (tmp_path / file.name).write_bytes(file.data)
        made[tmp_path / file.name] = file
    facts = scanned(sorted(made))
    assert not {"crashed", "timeout"} & set(facts.code)
    for path, code in zip(sorted(made), facts.code, strict=True):
        if made[path].is_good is not None:
            assert (code == "") == made[path].is_good, made[path].kind


def test_a_scan_changes_no_file(sample_images):
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in sample_images]
    scanned(sample_images)
    assert [(path.read_bytes(), path.stat().st_mtime_ns) for path in sample_images] == before
    assert sorted(sample_images[0].parent.iterdir()) == sample_images
