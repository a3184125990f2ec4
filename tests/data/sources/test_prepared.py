"""imgrec.data.sources.prepared: prepared data gives what the files would have given."""

import json
import pickle
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from imgrec.data.images.collections import FileImages
from imgrec.data.images.lazy_image import open_image
from imgrec.data.images.preprocess import Preprocess
from imgrec.data.loading.dataset import ImageDataset
from imgrec.data.prepared.build import Source, prepare
from imgrec.data.prepared.prepared_format import MANIFEST, TABLE, Manifest, describe_shard
from imgrec.data.prepared.shrink import Shrink
from imgrec.data.prepared.verify import verify
from imgrec.data.samples import SPLITS, Samples
from imgrec.data.sources import FolderData, PreparedData
from imgrec.data.sources.folder import list_folder, read_folder
from imgrec.data.sources.prepared import read_prepared
from imgrec.data.sources.table import list_table, read_table
from imgrec.errors import DataError, ImageError

PREPROCESS = Preprocess(size=28, resize=32)


def write_images(folder: Path, count: int, *, seed: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for number in range(count):
        height, width = rng.integers(20, 90, size=2)
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(image).save(folder / f"p{number // 2}_{number}.jpg")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    write_images(tmp_path / "photos" / "cat", 12, seed=1)
    write_images(tmp_path / "photos" / "dog", 10, seed=2)
    return tmp_path / "photos"


def make(found, output: Path, **options) -> Path:
    source = Source(found.where, found.parts, list(found.label_names), found.task)
    prepare(source, output, **{"shrink": Shrink(32), "workers": 1, **options})
    return output


def prepared(root: Path, output: Path, **options) -> Path:
    return make(list_folder(root=str(root)), output, **options)


def assert_same(one: Samples, other: Samples) -> None:
    assert list(one.names) == list(other.names)
    assert np.array_equal(one.labels, other.labels)
    assert one.labels.dtype == other.labels.dtype
    assert one.groups == other.groups


# What comes back


def test_unsplit_data_is_split_as_the_files_would_be(photos, tmp_path):
    files = read_folder(root=str(photos), seed=3, val_fraction=0.2)
    found = read_prepared(root=str(prepared(photos, tmp_path / "out")), seed=3, val_fraction=0.2)
    assert found.class_names == files.class_names
    for split in SPLITS:
        assert_same(getattr(found, split), getattr(files, split))


def test_splits_come_back(tmp_path):
    for split, count in (("train", 5), ("val", 3), ("test", 2)):
        for name in ("cat", "dog"):
            write_images(tmp_path / "sets" / split / name, count)
    found = read_prepared(root=str(prepared(tmp_path / "sets", tmp_path / "out")))
    files = read_folder(root=str(tmp_path / "sets"))
    for split in SPLITS:
        assert_same(getattr(found, split), getattr(files, split))


def test_groups_come_back_and_stay_on_one_side(photos, tmp_path):
    options = {"root": str(photos), "group_pattern": r"([a-z]+/p\d+)_"}
    output = make(list_folder(**options), tmp_path / "out")
    found, files = read_prepared(root=str(output), seed=5), read_folder(**options, seed=5)
    for split in SPLITS:
        assert getattr(files, split).groups is not None
        assert_same(getattr(found, split), getattr(files, split))


def test_several_labels_per_image_come_back(photos, tmp_path):
    names = sorted(str(path) for path in photos.rglob("*.jpg"))
    labels = ["indoor", "night;indoor", "", "night"]
    lines = [f"{name},{labels[number % 4]}" for number, name in enumerate(names)]
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(["path,label", *lines]))
    options = {"path": str(table), "label_delimiter": ";"}
    found = read_prepared(root=str(make(list_table(**options), tmp_path / "out")))
    files = read_table(**options)
    assert found.task == "multilabel"
    for split in SPLITS:
        assert_same(getattr(found, split), getattr(files, split))


def test_a_class_without_images_keeps_its_place(photos, tmp_path):
    (photos / "bird").mkdir()
    found = read_prepared(root=str(prepared(photos, tmp_path / "out")))
    assert found.class_names == ["bird", "cat", "dog"]
    assert found.class_names == read_folder(root=str(photos), allow_empty_class=True).class_names


def test_a_class_that_training_lacks_is_an_error_as_from_the_files(tmp_path):
    for place in ("train/cat", "train/dog", "test/cat", "test/emu"):
        write_images(tmp_path / "sets" / place, 3)
    output = prepared(tmp_path / "sets", tmp_path / "out")
    with pytest.raises(DataError, match="test labels that the training data does not know: emu"):
        read_prepared(root=str(output))


def test_labels_are_mapped_by_name_to_the_classes_of_a_checkpoint(photos, tmp_path):
    found = read_prepared(root=str(prepared(photos, tmp_path / "out")), class_names=["dog", "emu", "cat"])
    assert found.train.labels.tolist() == [2 if "/cat/" in name else 0 for name in found.train.names]


def test_two_runs_see_that_files_and_prepared_data_are_the_same_data(photos, tmp_path):
    output = prepared(photos, tmp_path / "out")
    files = FolderData(root=str(photos), preprocess=PREPROCESS, seed=4)
    assert PreparedData(root=str(output), preprocess=PREPROCESS, seed=4).fingerprint() == files.fingerprint()


# Pixels


def test_the_model_gets_the_same_pixels_as_from_the_files(photos, tmp_path):
    found = read_prepared(root=str(prepared(photos, tmp_path / "out")))
    files = read_folder(root=str(photos))
    keys = [(index, 0) for index in range(len(files.train))]
    batches = [ImageDataset(splits.train, preprocess=PREPROCESS)[keys] for splits in (found, files)]
    assert torch.equal(batches[0]["images"], batches[1]["images"])


def test_the_network_sees_bit_for_bit_what_it_would_see_of_photographs(shared_data, tmp_path):
    paths = sorted((shared_data / "hymenoptera" / "val" / "ants").glob("*.jpg"))[:12]
    files = Samples([str(path) for path in paths], FileImages(paths), np.zeros(len(paths), dtype=np.int64))
    prepare(Source("photos", {"test": files}, ["ants", "bees"]), tmp_path / "out", shrink=Shrink(256), workers=1)
    found = read_prepared(root=str(tmp_path / "out")).test
    preprocess = Preprocess(size=224, resize=256)
    for index in range(len(paths)):
        assert np.array_equal(preprocess(found.images[index]), preprocess(files.images[index]))


def test_an_image_can_be_written_to_without_changing_the_data(photos, tmp_path):
    images = read_prepared(root=str(prepared(photos, tmp_path / "out"))).train.images
    before = images[0]
    images[0][:] = 0
    assert np.array_equal(images[0], before)


def test_an_opened_image_is_not_copied_and_cannot_be_written_to(photos, tmp_path):
    images = read_prepared(root=str(prepared(photos, tmp_path / "out"))).train.images
    image = open_image(images, 0)
    assert image.height_width == images[0].shape[:2]
    assert np.array_equal(image.pixels(), images[0])
    assert np.shares_memory(image.pixels(), open_image(images, 0).pixels())
    with pytest.raises(ValueError, match="read-only"):
        image.pixels()[:] = 0


@pytest.fixture
def every_warning():
    """Have torch warn each time, and not only the first: a warning is an error here."""
    before = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    yield
    torch.set_warn_always(before)


@pytest.mark.parametrize("interpolation", ["bilinear", "fast"])
@pytest.mark.usefixtures("every_warning")
def test_a_part_of_an_image_is_that_of_its_pixels(photos, tmp_path, interpolation):
    images = read_prepared(root=str(prepared(photos, tmp_path / "out"))).train.images
    height, width = images[0].shape[:2]
    for box in ((0, 0, width, height), (3, 2, width - 4, height)):  # the whole too, whose bytes lie in one piece
        part = open_image(images, 0).window(box, size=(9, 8), interpolation=interpolation)
        expected = Image.fromarray(images[0]).crop(box).resize((8, 9), Image.Resampling.BILINEAR)
        assert np.abs(part.astype(int) - np.asarray(expected)).max() <= 1


def test_images_of_one_size_come_as_a_batch_and_others_do_not(tmp_path):
    write_images(tmp_path / "sets" / "cat", 6)
    write_images(tmp_path / "sets" / "dog", 6)
    images = read_prepared(root=str(prepared(tmp_path / "sets", tmp_path / "out"))).train.images.images
    same = [index for index in range(len(images)) if images[index].shape == images[0].shape]
    batch = images.batch(np.array(same * 2))
    assert batch.shape == (2 * len(same), *images[0].shape)
    assert np.array_equal(batch[-1], images[same[-1]])
    with pytest.raises(ValueError, match="shape"):
        images.batch(np.arange(len(images)))


def test_several_files_of_pixels_are_read(photos, tmp_path):
    output = prepared(photos, tmp_path / "out", shard_bytes=10_000)
    assert len(list(output.glob("pixels-*.bin"))) > 3
    found, files = read_prepared(root=str(output)), read_folder(root=str(photos))
    for index in range(len(files.train)):
        assert np.array_equal(found.train.images[index], Shrink(32)(files.train.images[index]))


def test_images_pass_to_other_processes_without_their_pixels(photos, tmp_path):
    images = read_prepared(root=str(prepared(photos, tmp_path / "out"))).train.images.images
    first = images[0]
    content = pickle.dumps(images)
    assert len(content) < first.nbytes + 20_000
    assert np.array_equal(pickle.loads(content)[0], first)


def test_a_loader_with_processes_gives_the_same_batches(photos, tmp_path):
    output = prepared(photos, tmp_path / "out")
    batches = []
    for workers in (0, 2):
        data = PreparedData(root=str(output), preprocess=PREPROCESS, batch_size=8, num_workers=workers)
        batches.append([batch["images"] for batch in data.train_dataloader()])
    assert all(torch.equal(*pair) for pair in zip(*batches, strict=True))


def test_a_file_that_could_not_be_read_raises_its_reason(photos, tmp_path):
    (photos / "cat" / "p0_0.jpg").write_bytes(b"nothing")
    found = read_prepared(root=str(prepared(photos, tmp_path / "out", max_bad=1)), val_fraction=0, test_fraction=0)
    place = next(i for i, name in enumerate(found.train.names) if name.endswith("cat/p0_0.jpg"))
    for read in (lambda: found.train.images[place], lambda: open_image(found.train.images, place)):
        with pytest.raises(ImageError, match=r"cat/p0_0.jpg.*\[not_an_image\]"):
            read()
    assert "1 of 22 images could not be read" in found.notes[0].text


# What can be wrong


def test_a_preprocessing_that_makes_images_larger_again_is_noted(photos, tmp_path):
    output = str(prepared(photos, tmp_path / "out"))
    assert read_prepared(root=output, preprocess=PREPROCESS).notes == ()
    larger = read_prepared(root=output, preprocess=Preprocess(size=28, resize=40)).notes
    assert "prepared with --side 32, but preprocess needs a shorter side of 40 px" in larger[0].text


def test_another_interpolation_is_noted(photos, tmp_path):
    output = str(prepared(photos, tmp_path / "out"))
    notes = read_prepared(root=output, preprocess=Preprocess(size=28, resize=32, interpolation="bicubic")).notes
    assert "prepared with bilinear interpolation, but preprocess.interpolation is bicubic" in notes[0].text


def test_a_folder_of_something_else_is_an_error(photos):
    with pytest.raises(DataError, match=r"holds no prepared data \(prepared.json is missing\)"):
        read_prepared(root=str(photos))


def test_a_folder_that_is_not_there_is_an_error(photos, tmp_path):
    prepared(photos, tmp_path / "out")
    with pytest.raises(DataError, match=r"no folder 'oat' .* Did you mean 'out'"):
        read_prepared(root=str(tmp_path / "oat"))


def change_manifest(output: Path, **values) -> None:
    file = output / MANIFEST
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def test_another_version_of_the_format_is_an_error(photos, tmp_path):
    change_manifest(prepared(photos, tmp_path / "out"), version=3)
    with pytest.raises(DataError, match="has version 3 of the format; this imgrec reads 1 to 2"):
        read_prepared(root=str(tmp_path / "out"))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "other"}', '{"format": "imgrec-prepared", "version": 1}'])
def test_a_damaged_description_is_an_error(photos, tmp_path, text):
    (prepared(photos, tmp_path / "out") / MANIFEST).write_text(text)
    with pytest.raises(DataError, match=MANIFEST):
        read_prepared(root=str(tmp_path / "out"))


def test_files_in_other_folders_are_not_opened(photos, tmp_path):
    output = prepared(photos, tmp_path / "out")
    shard = json.loads((output / MANIFEST).read_text())["shards"][0]
    change_manifest(output, shards=[{**shard, "name": "../secret.bin"}])
    with pytest.raises(DataError, match="names files in other folders"):
        read_prepared(root=str(output))


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "harm", "message"),
    [
        ("pixels-00000.bin", cut, r"pixels-00000.bin: [\d,]+ bytes instead of"),
        ("pixels-00000.bin", flip, "content is not what prepared.json describes"),
        ("pixels-00000.bin", Path.unlink, "it is missing"),
        (TABLE, cut, "is not the file that prepared.json describes"),
        (TABLE, flip, "is not the file that prepared.json describes"),
        (TABLE, Path.unlink, "No such file"),
    ],
)
def test_a_file_that_was_cut_off_changed_or_lost_is_an_error(photos, tmp_path, name, harm, message):
    harm(prepared(photos, tmp_path / "out") / name)
    with pytest.raises(DataError, match=f"{message}.*--overwrite"):
        read_prepared(root=str(tmp_path / "out"))


def test_the_folder_can_be_moved(photos, tmp_path):
    shutil.move(prepared(photos, tmp_path / "out"), tmp_path / "elsewhere")
    assert len(read_prepared(root=str(tmp_path / "elsewhere")).train) == 18


def test_verifying_finds_a_changed_pixel_that_opening_does_not(tmp_path):
    write_images(tmp_path / "sets" / "cat", 5)
    write_images(tmp_path / "sets" / "dog", 5)
    output = prepared(tmp_path / "sets", tmp_path / "out", shrink=Shrink(1500))
    assert verify(output) == 10
    manifest = Manifest.read(output)
    flip(output / "pixels-00000.bin")
    ends = describe_shard(output / "pixels-00000.bin").ends  # as if the change were outside of what opening looks at
    change_manifest(output, shards=[{**asdict(manifest.shards[0]), "ends": ends}])
    with pytest.raises(DataError, match=r"1 of 10 images differ from what was written: .*p0_0.jpg"):
        verify(output)


def test_images_without_labels_are_an_error(tmp_path):
    write_images(tmp_path / "photos", 4)
    output = prepared(tmp_path / "photos", tmp_path / "out")
    with pytest.raises(DataError, match="has images without a label"):
        read_prepared(root=str(output))
