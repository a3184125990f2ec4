"""imgrec.data.sources.folder: class folders on disk become splits under one class list."""

import os
import re

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder

from imgrec.data.images.preprocess import Preprocess
from imgrec.data.sources import FolderData
from imgrec.data.sources.folder import read_folder
from imgrec.errors import ConfigError, DataError


def fill(root, **classes):
    """Write images into class folders of `root`: as many as each class is given."""
    for place, (name, number) in enumerate(classes.items()):
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(number):
            Image.new("RGB", (8, 8), (place, i, 0)).save(root / name / f"{i:02d}.png")
    return root


def sizes(splits):
    return tuple(None if part is None else len(part) for part in (splits.train, splits.val, splits.test))


def read(root, **options):
    return read_folder(root=str(root), **options)


# Layouts


def test_class_folders_are_split(tmp_path):
    splits = read(fill(tmp_path, cat=20, dog=30))
    assert splits.class_names == ["cat", "dog"]
    assert sizes(splits) == (40, 5, 5)
    assert np.bincount(splits.train.labels).tolist() == [16, 24]


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        ({"train": 3, "val": 2, "test": 1}, (6, 4, 2)),
        ({"Training": 3, "valid": 2, "Testing": 1}, (6, 4, 2)),
        ({"TRAIN": 3, "Validation": 2}, (6, 4, None)),
        ({"train": 20, "test": 2}, (32, 8, 4)),  # no validation: a part of training
        ({"val": 2, "test": 1}, (None, 4, 2)),
    ],
)
def test_split_folders_are_taken_as_they_are(tmp_path, folders, expected):
    for name, number in folders.items():
        fill(tmp_path / name, cat=number, dog=number)
    assert sizes(read(tmp_path, val_fraction=0.2)) == expected


def test_a_folder_named_by_itself_comes_before_that_of_the_root(tmp_path):
    fill(tmp_path / "data" / "train", cat=3, dog=3)
    fill(tmp_path / "data" / "val", cat=1, dog=1)
    fill(tmp_path / "other", cat=5, dog=5)
    assert sizes(read(tmp_path / "data", val=str(tmp_path / "other"))) == (6, 10, None)


def test_class_folders_and_a_test_folder_elsewhere_give_no_test_of_their_own(tmp_path):
    fill(tmp_path / "data", cat=10, dog=10)
    fill(tmp_path / "other", cat=5, dog=5)
    assert sizes(read(tmp_path / "data", test=str(tmp_path / "other"))) == (18, 2, 10)


def test_a_test_folder_alone_can_be_evaluated(tmp_path):
    splits = read_folder(test=str(fill(tmp_path, cat=2, dog=3)))
    assert sizes(splits) == (None, None, 5)
    assert splits.class_names == ["cat", "dog"]


def test_a_class_called_train_among_others_is_a_class(tmp_path):
    assert read(fill(tmp_path, bus=10, car=10, train=10)).class_names == ["bus", "car", "train"]


def test_images_below_a_class_folder_belong_to_the_class(tmp_path):
    fill(tmp_path, cat=2, dog=2)
    fill(tmp_path / "cat" / "tabby", old=3)
    splits = read(tmp_path, val_fraction=0, test_fraction=0)
    assert np.bincount(splits.train.labels).tolist() == [5, 2]


def test_names_are_the_paths_as_found_and_images_are_theirs(tmp_path, monkeypatch):
    fill(tmp_path / "photos", cat=3, dog=3)
    monkeypatch.chdir(tmp_path)
    train = read_folder(root="photos", val_fraction=0, test_fraction=0).train
    assert list(train.names) == [f"photos/{name}/{i:02d}.png" for name in ("cat", "dog") for i in range(3)]
    assert [tuple(train.images[i][0, 0]) for i in range(6)] == [(c, i, 0) for c in (0, 1) for i in range(3)]


def test_the_listing_equals_that_of_torchvision(shared_data):
    root = shared_data / "flowers8" / "train"
    reference = ImageFolder(root)
    train = read_folder(train=str(root), val_fraction=0).train
    assert [(name, int(label)) for name, label in zip(train.names, train.labels, strict=True)] == reference.samples


def test_class_order_is_that_of_text_as_in_torchvision(tmp_path):
    assert read(fill(tmp_path, **{"10": 10, "9": 10, "B": 10, "a": 10})).class_names == ["10", "9", "B", "a"]


def test_a_file_name_that_is_not_utf8_is_read_under_a_name_that_can_be_stored(tmp_path):
    fill(tmp_path, cat=1, dog=1)
    (tmp_path / "cat" / "00.png").rename(tmp_path / "cat" / os.fsdecode(b"caf\xe9.png"))
    train = read(tmp_path, val_fraction=0, test_fraction=0).train
    assert train.names[0].endswith(r"caf\udce9.png")
    train.names[0].encode("utf-8")
    assert train.images[0].shape == (8, 8, 3)


# What is odd


def test_a_class_missing_in_validation_shifts_no_index(tmp_path):
    fill(tmp_path / "train", cat=3, dog=3)
    fill(tmp_path / "val", dog=2)
    splits = read(tmp_path)
    assert splits.val.labels.tolist() == [1, 1]
    assert any("No val images of cat" in note.text for note in splits.notes)


@pytest.mark.parametrize("name", [".ipynb_checkpoints", "__MACOSX", ".git"])
def test_hidden_folders_are_no_classes_and_noted(tmp_path, name):
    fill(tmp_path, cat=10, dog=10, **{name: 5})
    splits = read(tmp_path)
    assert splits.class_names == ["cat", "dog"]
    assert any("hidden" in note.text and name in note.text for note in splits.notes)


def test_files_beside_the_class_folders_are_noted(tmp_path):
    fill(tmp_path, cat=10, dog=10)
    (tmp_path / "SOURCE.txt").write_text("from a friend")
    assert any("beside the class folders" in note.text and "SOURCE.txt" in note.text for note in read(tmp_path).notes)


def test_folders_beside_those_of_the_splits_are_noted(tmp_path):
    fill(tmp_path / "train", cat=10, dog=10)
    fill(tmp_path, extra=2)
    splits = read(tmp_path)
    assert splits.class_names == ["cat", "dog"]
    assert any("beside the folders of the splits" in note.text and "extra" in note.text for note in splits.notes)


def test_excluded_files_and_folders_are_left_out(tmp_path):
    fill(tmp_path, cat=3, dog=3, owl=3)
    splits = read(tmp_path, exclude=["owl", "dog/02.*"], val_fraction=0, test_fraction=0)
    assert splits.class_names == ["cat", "dog"]
    assert sizes(splits) == (5, None, None)


def test_an_empty_class_folder_is_an_error_naming_it(tmp_path):
    fill(tmp_path, cat=10, dog=10, owl=0)
    with pytest.raises(DataError, match=r"Class folders without images: .*owl\. .*data.allow_empty_class=true"):
        read(tmp_path)


def test_the_error_of_an_empty_class_says_what_was_left_out(tmp_path):
    fill(tmp_path, cat=10, dog=0)
    (tmp_path / "dog" / "rex.heic").write_bytes(b"\0\0\0\x18ftypheic")
    with pytest.raises(DataError, match=r"dog \(1 not a supported image\)"):
        read(tmp_path)


def test_an_empty_class_may_be_allowed_and_stays_in_the_list(tmp_path):
    splits = read(fill(tmp_path, cat=10, dog=0, owl=10), allow_empty_class=True)
    assert splits.class_names == ["cat", "dog", "owl"]
    assert any("No train images of dog" in note.text for note in splits.notes)


def test_empty_folders_only_are_an_error_even_when_allowed(tmp_path):
    with pytest.raises(DataError, match="Class folders without images"):
        read(fill(tmp_path, cat=0, dog=0), allow_empty_class=True)


# Groups


def test_files_of_one_group_stay_on_one_side(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(40):
            Image.new("RGB", (8, 8)).save(tmp_path / name / f"{i // 4:05d}_{i % 4}.png")
    splits = read(tmp_path, group_pattern=r"^(\d+)_")
    assert splits.train.groups[0] == splits.train.names[0].rpartition("/")[2][:5]
    assert not set(splits.train.groups) & (set(splits.val.groups) | set(splits.test.groups))


def test_a_pattern_with_a_slash_tells_classes_apart(tmp_path):
    fill(tmp_path, cat=4, dog=4)
    train = read(tmp_path, group_pattern=r"^(\w+/\d)", val_fraction=0, test_fraction=0).train
    assert sorted(set(train.groups)) == ["cat/0", "dog/0"]


def test_a_training_file_without_a_group_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"finds no group in cat/00.png, .* and 36 more"):
        read(fill(tmp_path, cat=20, dog=20), group_pattern=r"^(track\d+)_")


def test_a_test_file_without_a_group_is_one_by_itself(tmp_path):
    fill(tmp_path / "train", cat=20, dog=20)
    fill(tmp_path / "test", cat=1, dog=1)
    (tmp_path / "test" / "cat" / "00.png").rename(tmp_path / "test" / "cat" / "x.png")
    assert read(tmp_path, group_pattern=r"(\d+)").test.groups == ["cat/x.png", "00"]


def test_a_broken_pattern_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match=r"data.group_pattern='\(' is not a regular expression"):
        read(fill(tmp_path, cat=20, dog=20), group_pattern="(")


# Errors


def test_no_folder_named_is_an_error():
    with pytest.raises(DataError, match=r"data\.root=FOLDER"):
        read_folder()


def test_a_folder_without_class_folders_is_an_error(tmp_path):
    fill(tmp_path, photos=3)
    with pytest.raises(DataError, match=r"holds no class folders, only images.*photos/<class>/"):
        read(tmp_path / "photos")
    with pytest.raises(DataError, match=r"holds no class folders\."):
        read(fill(tmp_path / "empty", **{".hidden": 1}))


def test_class_folders_one_level_deeper_are_pointed_at(tmp_path):
    fill(tmp_path / "photos", cat=1, dog=1)
    with pytest.raises(DataError, match=re.escape(f"data.root={tmp_path}/photos")):
        read(tmp_path)


def test_two_validation_folders_are_an_error(tmp_path):
    for name in ("train", "val", "valid"):
        fill(tmp_path / name, cat=1, dog=1)
    with pytest.raises(DataError, match=r"val and .*valid\. Choose one: data.val=FOLDER"):
        read(tmp_path)


def test_a_test_folder_of_unsorted_images_beside_classes_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"class folders \(cat, dog\), and .*test without class folders"):
        read(fill(tmp_path, cat=3, dog=3, test=3))


def test_class_folders_and_a_training_folder_are_an_error(tmp_path):
    fill(tmp_path / "a", cat=3, dog=3)
    fill(tmp_path / "b", cat=3, dog=3)
    with pytest.raises(DataError, match="Name only one"):
        read(tmp_path / "a", train=str(tmp_path / "b"))


@pytest.mark.parametrize("key", ["test", "train"])
def test_one_folder_under_two_keys_is_an_error_that_names_both(tmp_path, key):
    fill(tmp_path, cat=3, dog=3)
    with pytest.raises(DataError, match=rf"is both data\.root and data\.{key}\. .*add data\.root=null"):
        read(tmp_path, **{key: f"{tmp_path}/."})


def test_an_empty_name_is_shown_as_such():
    with pytest.raises(DataError, match=r"data\.root='' is empty"):
        read_folder(root="")


# Real data


@pytest.mark.parametrize(
    ("name", "num_classes", "expected"),
    [
        ("cifar10", 10, (2700, 300, 10000)),
        ("hymenoptera", 2, (245, 153, None)),
        ("brain_mri", 2, (203, 25, 25)),
        ("faces_att", 40, (320, 40, 40)),
        ("flowers8", 8, (144, 48, 48)),
        ("vehicles64", 2, (480, 60, 60)),
        ("gtsrb32", 43, (619, 69, 344)),
    ],
)
def test_real_folders_read_whole(shared_data, name, num_classes, expected):
    splits = read(shared_data / name)
    assert len(splits.class_names) == num_classes
    assert sizes(splits) == expected
    assert splits.train.images[0].shape[2] == 3


def test_the_stray_gif_of_hymenoptera_can_be_excluded(shared_data):
    splits = read(shared_data / "hymenoptera", exclude=["*.gif"])
    assert sizes(splits) == (244, 153, None)
    assert any("imageNotFound.gif" in note.text for note in splits.notes)


def test_the_stray_tables_of_gtsrb_are_left_out_and_tracks_stay_together(shared_data):
    splits = read(shared_data / "gtsrb32", group_pattern=r"/(\d+)_")
    assert any("43 entries" in note.text and "GT-00000.csv" in note.text for note in splits.notes)
    assert not set(splits.train.groups) & set(splits.val.groups)
    assert len(splits.val) == 64


# The data module


def test_the_data_module_reads_with_its_seed_and_the_class_list_of_a_checkpoint(tmp_path):
    fill(tmp_path, cat=20, dog=20)
    data = FolderData(root=str(tmp_path), test_fraction=0.25, preprocess=Preprocess(size=4), seed=3)
    assert list(data.read(None).test.names) == list(read(tmp_path, test_fraction=0.25, seed=3).test.names)
    assert data.read(["dog", "cat"]).class_names == ["dog", "cat"]
