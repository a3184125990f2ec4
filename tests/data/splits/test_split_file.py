"""imgrec.data.splits.split_file, split_format and split_changes: split files, and what they refuse."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from imgrec.data.images.collections import ArrayImages
from imgrec.data.samples import Note, Samples, Splits
from imgrec.data.splits.folds import apply_folds, deal_folds, deal_once
from imgrec.data.splits.join import pool
from imgrec.data.splits.split_changes import label_texts, labels_fingerprint, relative_names
from imgrec.data.splits.split_file import apply_split_file, describe
from imgrec.data.splits.split_format import SplitFile, read_split_file, write_split_file
from imgrec.errors import ConfigError, DataError

CLASSES = ["cat", "dog"]


def samples(root="photos/", count=40, labels=None, groups=None):
    labels = np.arange(count) % 2 if labels is None else np.array(labels)
    names = [f"{root}{CLASSES[i % 2]}/{i:03d}.png" for i in range(count)]
    images = np.arange(count, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8)
    return Samples(names, ArrayImages(images), labels, groups)


def data(*parts, class_names=CLASSES):
    return Splits(class_names, **dict(zip(("train", "val", "test"), parts or [samples()], strict=False)))


def make(path, folds=0, whole=None, groups=None, **keys):
    whole = pool([whole or samples()])
    sides = (
        deal_folds(whole.labels, folds=folds, val_fraction=0.1, seed=1, groups=groups)
        if folds
        else deal_once(whole.labels, fractions={"train": 0.8, "val": 0.1, "test": 0.1}, seed=1, groups=groups)
    )
    split = SplitFile(
        names=relative_names(whole.names),
        labels=label_texts(whole, CLASSES),
        sides=sides,
        class_names=CLASSES,
        seed=1,
        folds=folds,
        groups=groups or (),
        **{"rule": {"summary": "by chance", "val": 0.1}, "command": "imgrec split photos --output splits.json", **keys},
    )
    return write_split_file(split, path)


@pytest.fixture
def file(tmp_path):
    make(tmp_path / "splits.json")
    return tmp_path / "splits.json"


@pytest.fixture
def folds_file(tmp_path):
    make(tmp_path / "folds.json", folds=5)
    return tmp_path / "folds.json"


def names(found):
    return [list(getattr(found, part).names) for part in ("train", "val", "test")]


def change(path, before, after):
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))


# The file


def test_what_is_written_is_read(tmp_path):
    written = make(tmp_path / "f.json", folds=4, groups=[f"g{i // 2}" for i in range(40)])
    read = read_split_file(tmp_path / "f.json")
    assert np.array_equal(read.sides, written.sides)
    for key in (
        "names",
        "labels",
        "groups",
        "class_names",
        "seed",
        "folds",
        "repeats",
        "rule",
        "fingerprint",
        "digest",
    ):
        assert getattr(read, key) == getattr(written, key)
    assert not read.is_edited


def test_the_file_is_json_with_a_line_for_each_sample(file):
    content = json.loads(file.read_text())
    assert content["format"] == "imgrec-splits"
    assert content["samples"][0] == {"name": "cat/000.png", "label": "cat", "split": "train"}
    assert len(file.read_text().splitlines()) == 40 + len(content) + 3


def test_a_line_of_folds_says_in_which_the_sample_is_tested_and_validated(folds_file):
    rows = json.loads(folds_file.read_text())["samples"]
    assert all(len(row["test"]) == 1 and set(row["test"]).isdisjoint(row.get("val", [])) for row in rows)
    assert sum(len(row.get("val", [])) for row in rows) == 5 * 4


def test_groups_of_one_sample_are_left_out(tmp_path):
    written = make(tmp_path / "f.json", groups=["x", "x", *(f"g{i}" for i in range(38))])
    assert set(written.groups) == {"x", ""}


def test_the_same_division_gives_the_same_bytes_in_whatever_order_it_comes(tmp_path):
    whole = pool([samples()])
    order = np.random.default_rng(0).permutation(40)
    sides = deal_once(whole.labels, fractions={"train": 0.8, "test": 0.2}, seed=1)
    texts, labels = relative_names(whole.names), label_texts(whole, CLASSES)
    for name, places in (("a", range(40)), ("b", order)):
        split = SplitFile([texts[i] for i in places], [labels[i] for i in places], sides[list(places)], CLASSES, seed=1)
        write_split_file(split, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_several_labels_come_back(tmp_path):
    rows = np.array([[1, 1], [0, 0], [0, 1], [1, 0]] * 5, np.uint8)
    whole = samples(count=20, labels=rows)
    make(tmp_path / "f.json", whole=whole)
    row = json.loads((tmp_path / "f.json").read_text())["samples"]
    assert {str(one["label"]) for one in row} == {"['cat', 'dog']", "", "dog", "cat"}
    found = apply_split_file(Splits(CLASSES, train=whole, task="multilabel"), file=tmp_path / "f.json", fold=None)
    assert sum(map(len, names(found))) == 20


def test_the_fingerprint_is_of_names_labels_and_classes_in_any_order():
    of = labels_fingerprint(["a", "b"], ["cat", "dog"], CLASSES)
    assert of == labels_fingerprint(["b", "a"], ["dog", "cat"], CLASSES[::-1])
    others = [
        (["a", "c"], ["cat", "dog"], CLASSES),
        (["a", "b"], ["cat", "cat"], CLASSES),
        (["a", "b"], ["cat", "dog"], ["cat"]),
    ]
    assert len({of, *(labels_fingerprint(*other) for other in others)}) == 4


# Dividing by it


def test_a_data_set_is_split_as_the_file_says(file):
    found = apply_split_file(data(), file=file, fold=None)
    rows = json.loads(file.read_text())["samples"]
    for part in ("train", "val", "test"):
        assert list(getattr(found, part).names) == [f"photos/{row['name']}" for row in rows if row["split"] == part]
    assert [len(part) for part in names(found)] == [32, 4, 4]
    assert [int(found.test.images[i][0, 0, 0]) for i in range(4)] == [int(name[-7:-4]) for name in found.test.names]
    assert found.notes == ()


@pytest.mark.parametrize("fold", range(5))
def test_a_fold_of_the_file_is_the_fold_without_it(folds_file, fold):
    with_file = apply_split_file(data(), file=folds_file, fold=fold)
    assert names(with_file) == names(apply_folds(data(), fold=fold, folds=5, val_fraction=0.1, seed=1))


def test_the_data_may_be_moved_reordered_and_come_in_other_splits(file):
    moved = samples("/mnt/disk/photos/")
    shuffled = moved.subset(np.random.default_rng(0).permutation(40))
    parts = [shuffled.subset(range(*ends)) for ends in ((0, 10), (10, 30), (30, 40))]
    expected = [
        [f"/mnt/disk/{name}" for name in part] for part in names(apply_split_file(data(), file=file, fold=None))
    ]
    assert names(apply_split_file(data(*parts), file=file, fold=None)) == expected


def test_classes_in_another_order_change_nothing(file):
    swapped = data(samples(labels=1 - np.arange(40) % 2), class_names=["dog", "cat"])
    assert names(apply_split_file(swapped, file=file, fold=None)) == names(
        apply_split_file(data(), file=file, fold=None)
    )


def test_groups_of_the_file_go_with_the_samples_unless_these_have_their_own(tmp_path):
    make(tmp_path / "f.json", groups=[f"g{i // 2}" for i in range(40)])
    found = apply_split_file(data(), file=tmp_path / "f.json", fold=None)
    assert set(found.train.groups).isdisjoint(found.test.groups)
    own = apply_split_file(data(samples(groups=["one"] * 40)), file=tmp_path / "f.json", fold=None)
    assert set(own.test.groups) == {"one"}
    assert any(note.text.startswith("Groups in both train and test: one") for note in own.notes)


# What changed


def test_a_sample_more_one_less_and_one_with_another_label_are_named(file):
    whole = samples(count=42)
    labels = whole.labels.copy()
    labels[3] = 0
    now = Samples(whole.names, whole.images, labels).subset([i for i in range(42) if i != 5])
    with pytest.raises(DataError) as caught:
        apply_split_file(data(now), file=file, fold=None)
    message = str(caught.value)
    assert "was made for other data (40 images; now 41)" in message
    assert "2 added: cat/040.png, dog/041.png" in message
    assert "1 removed: dog/005.png" in message
    assert "1 relabelled: dog/003.png (cat, was dog)" in message
    assert "imgrec split photos --output splits.json" in message


def test_many_changes_are_counted_and_the_first_named(file):
    with pytest.raises(
        DataError, match=r"20 added: cat/040.png, cat/042.png, cat/044.png and 17 more\. Make a new one"
    ):
        apply_split_file(data(samples(count=60)), file=file, fold=None)


def test_a_file_outside_the_folder_of_the_others_makes_only_itself_new(file):
    whole = samples("/data/photos/")
    more = Samples([*whole.names, "/data/new.png"], ArrayImages(np.zeros((41, 2, 2), np.uint8)), np.arange(41) % 2)
    with pytest.raises(DataError, match=r"\. 1 added: /data/new\.png\. Make"):
        apply_split_file(data(more), file=file, fold=None)


def test_other_classes_are_named(file):
    with pytest.raises(DataError, match=r"1 new classes: fox\. "):
        apply_split_file(data(class_names=["cat", "dog", "fox"]), file=file, fold=None)
    with pytest.raises(DataError, match=r"40 relabelled: .*1 new classes: kitten; 1 classes gone: cat") as caught:
        apply_split_file(data(samples(labels=np.zeros(40, int)), class_names=["kitten", "dog"]), file=file, fold=None)
    assert "cat/000.png (kitten, was cat)" in str(caught.value)


# Folds


@pytest.mark.parametrize("fold", [5, -1])
def test_a_fold_that_is_not_in_the_file_is_an_error(folds_file, fold):
    with pytest.raises(ConfigError, match=r"from 0 to 4\. All of them: -m data\.fold=0,1,2,3,4"):
        apply_split_file(data(), file=folds_file, fold=fold)


def test_a_file_of_folds_needs_one_to_be_chosen(folds_file):
    with pytest.raises(ConfigError, match=r"holds 5 folds\. Choose .* data\.fold=0, or all: -m data\.fold=0,1,2,3,4"):
        apply_split_file(data(), file=folds_file, fold=None)


def test_a_file_without_folds_has_none_to_choose(file):
    with pytest.raises(ConfigError, match=r"data\.fold=0, but .* no folds.*imgrec split photos .* --folds 5"):
        apply_split_file(data(), file=file, fold=0)


# Edited, damaged, other files


def test_an_edit_is_allowed_and_noticed(file):
    change(
        file,
        '"name": "cat/000.png", "label": "cat", "split": "train"',
        '"name": "cat/000.png", "label": "cat", "split": "test"',
    )
    found = apply_split_file(data(), file=file, fold=None)
    assert "photos/cat/000.png" in found.test.names
    assert found.notes == (Note("edited", f"{file} was edited after it was written."),)
    assert describe(file)["is_edited"]


def test_lines_may_be_moved(file):
    lines = file.read_text().splitlines()
    lines[12], lines[13] = lines[13], lines[12]
    assert lines[12] != lines[13]
    file.write_text("\n".join(lines))
    assert not read_split_file(file).is_edited
    assert sum(map(len, names(apply_split_file(data(), file=file, fold=None)))) == 40


def test_a_sample_may_be_left_unused(file):
    change(file, '"split": "test"', '"split": "unused"')
    assert [len(part) for part in names(apply_split_file(data(), file=file, fold=None))] == [32, 4, 3]


def test_a_group_that_an_edit_put_into_two_splits_is_noted(tmp_path):
    file = tmp_path / "f.json"
    make(file, groups=[f"g{i // 2}" for i in range(40)])
    change(file, '"split": "test"', '"split": "train"')
    assert any(
        "Groups in both train and test" in note.text for note in apply_split_file(data(), file=file, fold=None).notes
    )


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('"split": "train"', '"split": "trian"', r'"trian"\} must have .* and a split \(one of train, val'),
        ('"name": "cat/000.png", ', "", "must have a name"),
        ('"label": "cat"', '"label": 3', "must have a name, a label"),
        ('"name": "cat/000.png"', '"name": "cat/002.png"', "names cat/002.png twice"),
        ('"name": "cat/000.png"', '"name": 7', "must have a name"),
        ('"samples": [', '"samples": [7,', "7 must have a name"),
        ('"folds": 0,', "", "lacks folds"),
        ('"version": 2', '"version": 3', "has version 3; this imgrec reads 1 to 2"),
        ('"format": "imgrec-splits"', '"format": "x"', "is no split file. Make one: imgrec split"),
        ("{", "", "cannot be read: "),
    ],
)  # fmt: skip
def test_a_damaged_file_is_refused_with_the_line(file, before, after, message):
    change(file, before, after)
    with pytest.raises(DataError, match=message):
        read_split_file(file)


@pytest.mark.parametrize("numbers", ["[5]", "[-1]", '["a"]', "[0.5]"])
def test_a_number_that_is_no_fold_is_refused(folds_file, numbers):
    text = re.sub(r'"test": \[\d\]', f'"test": {numbers}', folds_file.read_text(), count=1)
    folds_file.write_text(text)
    with pytest.raises(DataError, match="must have a name, a label, and numbers of folds, 0 to 4"):
        read_split_file(folds_file)


def test_a_sample_in_test_and_validation_of_one_fold_is_refused(folds_file):
    change(folds_file, '"test": [0]', '"test": [0], "unused": [0]')
    with pytest.raises(DataError, match="each in one of test, val and unused"):
        read_split_file(folds_file)


def test_a_file_that_is_not_there_is_named_with_the_nearest(file):
    with pytest.raises(DataError, match=r"no such file\. Did you mean 'splits\.json'"):
        read_split_file(file.with_name("split.json"))


# What a checkpoint keeps


def test_the_description_is_plain_and_complete(folds_file):
    found = describe(folds_file)
    assert json.loads(json.dumps(found)) == found
    assert found["rule"] == {"summary": "by chance", "val": 0.1}
    assert (found["folds"], found["repeats"], found["seed"], found["is_edited"]) == (5, 1, 1, False)
    assert (found["train_sizes"], found["val_sizes"], found["test_sizes"]) == ([28] * 5, [4] * 5, [8] * 5)
    read = read_split_file(folds_file)
    assert (found["fingerprint"], found["digest"]) == (read.fingerprint, read.digest)


def test_the_command_is_no_part_of_the_digest(tmp_path: Path):
    digests = {make(tmp_path / "f.json", command=command).digest for command in ("imgrec split a", "imgrec split b")}
    assert len(digests) == 1
