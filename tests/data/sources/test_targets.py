"""imgrec.data.sources.targets: the data that a command line names, without splitting it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgrec.data.sources.targets import is_override, read_target
from imgrec.errors import ConfigError, DataError


def write_images(folder: Path, count: int = 3) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.new("RGB", (12, 10), (number, 0, 0)).save(folder / f"g{number % 2}_{number}.png")


def lengths(target) -> dict[str, int]:
    return {part: len(samples) for part, samples in target.parts.items()}


def test_class_folders_are_one_heap(tmp_path):
    write_images(tmp_path / "photos" / "cat")
    write_images(tmp_path / "photos" / "dog", 2)
    target = read_target(str(tmp_path / "photos"))
    assert lengths(target) == {"all": 5}
    assert target.class_names == ["cat", "dog"]
    assert target.parts["all"].labels.tolist() == [0, 0, 0, 1, 1]
    assert (target.labelled, target.task) == (True, "single")


def test_splits_are_those_of_the_folders_training_first(tmp_path):
    for split, count in (("test", 1), ("train", 3), ("valid", 2)):
        write_images(tmp_path / split / "cat", count)
        write_images(tmp_path / split / "dog", count)
    target = read_target(str(tmp_path))
    assert list(lengths(target).items()) == [("train", 6), ("val", 4), ("test", 2)]


def test_a_training_folder_alone_is_not_split(tmp_path):
    write_images(tmp_path / "train" / "cat", 9)
    write_images(tmp_path / "train" / "dog", 9)
    assert lengths(read_target(str(tmp_path))) == {"train": 18}


def test_images_without_class_folders_have_no_label(tmp_path):
    write_images(tmp_path / "photos")
    target = read_target(str(tmp_path / "photos"))
    assert lengths(target) == {"all": 3}
    assert (target.labelled, target.class_names) == (False, [])
    assert target.parts["all"].labels.tolist() == [-1, -1, -1]


def test_a_split_may_lack_labels_that_others_have(tmp_path):
    write_images(tmp_path / "train" / "cat")
    write_images(tmp_path / "train" / "dog")
    write_images(tmp_path / "test")
    target = read_target(str(tmp_path))
    assert target.labelled
    assert target.parts["test"].labels.tolist() == [-1, -1, -1]


def test_one_class_and_empty_classes_stop_nothing(tmp_path):
    write_images(tmp_path / "photos" / "cat")
    (tmp_path / "photos" / "dog").mkdir()
    target = read_target(str(tmp_path / "photos"))
    assert target.class_names == ["cat", "dog"]
    assert target.parts["all"].labels.tolist() == [0, 0, 0]


def test_classes_that_may_lie_deeper_are_noted(tmp_path):
    write_images(tmp_path / "photos" / "all" / "cat")
    write_images(tmp_path / "photos" / "all" / "dog")
    assert "may be the classes: data.root=" in read_target(str(tmp_path / "photos")).notes[-1].text


def test_broken_images_are_listed_too(tmp_path):
    write_images(tmp_path / "photos" / "cat")
    (tmp_path / "photos" / "cat" / "broken.jpg").write_bytes(b"")
    assert lengths(read_target(str(tmp_path / "photos"))) == {"all": 4}


def test_a_folder_without_images_is_an_error(tmp_path):
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    (tmp_path / "photos" / "cat" / "readme.md").write_text("")
    with pytest.raises(DataError, match="photos: no image"):
        read_target(str(tmp_path / "photos"))


def test_overrides_change_how_a_folder_is_read(tmp_path):
    write_images(tmp_path / "photos" / "cat")
    write_images(tmp_path / "photos" / "dog")
    target = read_target(str(tmp_path / "photos"), [r"data.group_pattern='^(g\d+)_'", "data.exclude=[g0_2.png]"])
    assert target.parts["all"].groups == ["g0", "g1", "g0", "g1"]


def write_table(tmp_path: Path, *lines: str) -> str:
    write_images(tmp_path)
    (tmp_path / "t.csv").write_text("\n".join(["file,kind,who", *lines]))
    return str(tmp_path / "t.csv")


def test_a_table_with_its_columns(tmp_path):
    path = write_table(tmp_path, "g0_0.png,cat,ann", "g1_1.png,dog,bob", "g0_2.png,cat,ann")
    overrides = ["data.path_column=file", "data.label_column=kind", "data.group_column=who"]
    target = read_target(path, overrides)
    assert target.class_names == ["cat", "dog"]
    assert target.parts["all"].groups == ["ann", "bob", "ann"]


def test_rows_that_training_would_refuse_are_kept_and_noted(tmp_path):
    path = write_table(tmp_path, "g0_0.png,cat,ann", "gone.png,dog,bob", "g0_0.png,dog,ann", "g0_2.png,,ann")
    target = read_target(path, ["data.path_column=file", "data.label_column=kind"])
    assert target.parts["all"].labels.tolist() == [0, 1, 1, -1]
    notes = " ".join(note.text for note in target.notes)
    assert "no such file" in notes
    assert "is dog here, but cat in" in notes
    assert "no label" in notes


def test_rows_without_a_path_are_an_error(tmp_path):
    path = write_table(tmp_path, "g0_0.png,cat,ann", ",dog,bob")
    with pytest.raises(DataError, match="no path"):
        read_target(path, ["data.path_column=file", "data.label_column=kind"])


def test_an_npz_file(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.zeros((10, 8, 8), np.uint8), labels=np.arange(10) % 2)
    target = read_target(str(tmp_path / "a.npz"))
    assert lengths(target) == {"all": 10}
    assert target.class_names == ["0", "1"]


def test_overrides_alone_name_any_source():
    target = read_target(None, ["data=digits"])
    assert lengths(target) == {"all": 1797}
    assert target.where == "data=digits"


def test_a_fold_that_is_asked_for_divides(tmp_path):
    target = read_target(None, ["data=digits", "data.fold=0"])
    assert target.parts.keys() == {"train", "val", "test"}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data=foldr"], "There is no data 'foldr'. Did you mean 'folder'"),
        (["data=folder", "data.rot=x"], "There is no key 'data.rot'. Did you mean 'data.root'"),
        (["data=folder"], "No data is named"),
    ],
)
def test_an_invalid_override_is_an_error_as_for_training(overrides, message):
    with pytest.raises((ConfigError, DataError), match=message):
        read_target(None, overrides)


def test_a_target_that_is_not_there_is_said_with_its_neighbours(tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(DataError, match=r"photo: no such folder or table. Did you mean 'photos'"):
        read_target(str(tmp_path / "photo"))


def test_a_file_of_another_kind_is_an_error(tmp_path):
    (tmp_path / "notes.md").write_text("")
    with pytest.raises(DataError, match=r"neither a folder nor a file of .csv"):
        read_target(str(tmp_path / "notes.md"))


def test_a_path_with_an_equals_sign_is_no_override(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=b").mkdir()
    assert not is_override("a=b")
    assert is_override("data=folder")
    write_images(tmp_path / "a=b" / "it's {odd}, $x")
    assert lengths(read_target("a=b")) == {"all": 3}


@pytest.mark.parametrize(
    "name", ["brain_mri", "cifar10", "faces_att", "flowers8", "gtsrb32", "hymenoptera", "nasty", "vehicles64"]
)
def test_every_real_folder_of_images_can_be_read(shared_data, name):
    assert sum(lengths(read_target(str(shared_data / name))).values()) > 90
