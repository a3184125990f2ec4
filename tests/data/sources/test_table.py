"""imgrec.data.sources.table: a table of paths and labels becomes splits, or one list of all that is wrong with it."""

import csv
import json
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from imgrec.data.images.preprocess import Preprocess
from imgrec.data.sources import TableData
from imgrec.data.sources.table import read_table
from imgrec.data.sources.table_rows import MAX_LISTED
from imgrec.errors import DataError


@pytest.fixture
def folder(tmp_path):
    """Images 00.png to 39.png; the red of each is its number."""
    for i in range(40):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(tmp_path / f"{i:02d}.png")
    return tmp_path


def write(folder, *lines, name="labels.csv"):
    (folder / name).write_text("\n".join(lines) + "\n")
    return str(folder / name)


def rows(label=lambda i: ("cat", "dog")[i % 2], numbers=range(40)):
    return [f"{i:02d}.png,{label(i)}" for i in numbers]


def read(folder, *lines, **options):
    return read_table(path=write(folder, *lines), **options)


def read_whole(folder, *lines, **options):
    return read(folder, *lines, val_fraction=0, test_fraction=0, **options)


def sizes(splits):
    return tuple(None if part is None else len(part) for part in (splits.train, splits.val, splits.test))


def problems_of(folder, *lines, **options):
    with pytest.raises(DataError) as caught:
        read(folder, *lines, **options)
    return str(caught.value)


# What is read


def test_images_names_and_labels_are_those_of_the_rows(folder):
    train = read_whole(folder, "path,label", *rows()).train
    assert [int(train.images[i][0, 0, 0]) for i in range(40)] == list(range(40))
    assert list(train.names) == [str(folder / f"{i:02d}.png") for i in range(40)]
    assert train.labels.tolist() == [0, 1] * 20
    assert train.labels.dtype == np.int64


def test_a_table_without_splits_is_split(folder):
    assert sizes(read(folder, "path,label", *rows())) == (32, 4, 4)


@pytest.mark.parametrize(
    ("val", "test"), [("val", "test"), ("valid", "Test"), ("validation", "testing"), ("dev", "TEST")]
)
def test_the_splits_of_a_column_are_taken(folder, val, test):
    split = ["train"] * 30 + [val] * 6 + [test] * 4
    lines = [f"{row},{part}" for row, part in zip(rows(), split, strict=True)]
    splits = read(folder, "path,label,split", *lines, split_column="split")
    assert sizes(splits) == (30, 6, 4)
    assert splits.test.names[0].endswith("36.png")


def test_groups_of_a_column_stay_on_one_side(folder):
    lines = [f"{row},patient {i // 4}" for i, row in enumerate(rows())]
    splits = read(folder, "path,label,patient", *lines, group_column="patient")
    assert sizes(splits) == (32, 4, 4)
    assert not set(splits.train.groups) & set(splits.test.groups)


def test_a_table_for_each_split(folder):
    train = write(folder, "path,label", *rows(numbers=range(20)), name="train.csv")
    test = write(folder, "path,label", *rows(numbers=range(20, 30)), name="test.csv")
    assert sizes(read_table(train=train, test=test)) == (18, 2, 10)
    assert sizes(read_table(test=test)) == (None, None, 10)


def test_paths_count_from_the_root_when_one_is_given(folder):
    (folder / "tables").mkdir()
    table = write(folder / "tables", "path,label", *rows())
    assert sizes(read_table(path=table, root=str(folder))) == (32, 4, 4)


def test_absolute_paths_stay(folder, tmp_path_factory):
    lines = [f"{folder}/{row}" for row in rows()]
    assert sizes(read(tmp_path_factory.mktemp("other"), "path,label", *lines)) == (32, 4, 4)


def test_columns_may_have_other_names_and_an_order_of_their_own(folder):
    lines = [",".join(reversed(row.split(","))) for row in rows()]
    splits = read(folder, "class,file", *lines, path_column="file", label_column="class")
    assert splits.class_names == ["cat", "dog"]


def test_whole_numbers_sort_by_value(folder):
    assert read_whole(folder, "path,label", *rows(lambda i: i % 12)).class_names == [str(i) for i in range(12)]


def test_spaces_around_a_label_make_no_other_class(folder):
    assert read(folder, "path, label", *rows(lambda i: ("cat", " cat", "dog ")[i % 3])).class_names == ["cat", "dog"]


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "parquet with gaps"])
def test_numbers_in_json_and_parquet_become_text(folder, kind):
    names = [f"{i:02d}.png" for i in range(40)]
    if kind == "jsonl":
        lines = [json.dumps({"path": name, "label": i % 2}) for i, name in enumerate(names)]
        path = write(folder, *lines, name="labels.jsonl")
    else:
        labels = pa.array([i % 2 for i in range(40)], pa.float64() if "gaps" in kind else pa.int32())
        path = str(folder / "labels.parquet")
        pq.write_table(pa.table({"path": names, "label": labels}), path)
    splits = read_table(path=path)
    assert splits.class_names == ["0", "1"]
    assert sizes(splits) == (32, 4, 4)


def test_the_class_list_of_a_checkpoint_goes_by_name(folder):
    splits = read_whole(folder, "path,label", *rows(), class_names=["dog", "cat"])
    assert splits.train.labels.tolist() == [1, 0] * 20


# Several labels


def test_several_labels_make_one_column_each(folder):
    train = read_whole(folder, "path,label", "00.png,dog;night", "01.png, cat ", "02.png,", label_delimiter=";")
    assert train.class_names == ["cat", "dog", "night"]
    assert train.task == "multilabel"
    assert train.train.labels.dtype == np.uint8
    assert train.train.labels.tolist() == [[0, 1, 1], [1, 0, 0], [0, 0, 0]]


def test_lists_in_json_are_several_labels(folder):
    lines = [json.dumps({"path": f"{i:02d}.png", "label": [["a"], ["a", "b"], []][i]}) for i in range(3)]
    path = write(folder, *lines, name="labels.jsonl")
    splits = read_table(path=path, label_delimiter=";", val_fraction=0, test_fraction=0)
    assert splits.train.labels.tolist() == [[1, 0], [1, 1], [0, 0]]


def test_a_list_where_one_label_is_expected_is_an_error(folder):
    path = write(folder, json.dumps({"path": "00.png", "label": ["a", "b"]}), name="labels.jsonl")
    with pytest.raises(DataError, match=r"line 1: several labels; set data\.label_delimiter"):
        read_table(path=path)


# What is wrong, all in one message


def test_everything_wrong_is_in_one_message_with_its_lines(folder):
    message = problems_of(
        folder,
        "path,label,split",
        "00.png,cat,train",
        ",cat,train",
        "01.png,,train",
        "gone.png,dog,train",
        "02.png,dog,trian",
        "00.png,cat,test",
        "./00.png,dog,train",
        "03.png,dog",
        split_column="split",
    )
    assert message.splitlines() == [
        f"data.path={folder}/labels.csv: 7 problems:",
        "  line 9: 2 fields, but the header has 3",
        "  line 3: no path",
        "  line 4: no label",
        f"  line 5: no such file: {folder}/gone.png",
        "  line 6: split 'trian' is not train, val or test. Did you mean 'train' or 'training'?",
        f"  line 7: {folder}/00.png again, as in line 2",
        f"  line 8: {folder}/./00.png is dog here, but cat in line 2",
        "  (relative paths start from the table's folder; data.root=FOLDER changes that)",
    ]


def test_a_row_can_have_several_problems(folder):
    assert problems_of(folder, "path,label", ",", "gone.png,").count("line 3") == 2


def test_a_long_list_of_problems_is_cut_and_counted(folder):
    message = problems_of(folder, "path,label", *(f"gone{i}.png,cat" for i in range(100)))
    assert "100 problems" in message
    assert f"and {100 - MAX_LISTED} more" in message
    assert len(message.splitlines()) == MAX_LISTED + 3


def test_the_same_labels_in_another_order_do_not_conflict(folder):
    message = problems_of(folder, "path,label", "00.png,a;b", "00.png,b;a", label_delimiter=";")
    assert "again, as in line 2" in message


def test_an_image_in_two_tables_is_a_problem_that_names_both(folder):
    train = write(folder, "path,label", *rows(numbers=range(20)), name="train.csv")
    test = write(folder, "path,label", *rows(numbers=range(19, 30)), name="test.csv")
    with pytest.raises(DataError, match=r"test\.csv line 2: .*19\.png again, as in train\.csv line 21"):
        read_table(train=train, test=test)


def test_a_blank_group_is_a_problem(folder):
    message = problems_of(folder, "path,label,patient", "00.png,cat,", group_column="patient")
    assert "line 2: no group" in message


def test_a_folder_or_a_pipe_is_no_image(folder):
    (folder / "folder.jpg").mkdir()
    os.mkfifo(folder / "pipe.jpg")
    message = problems_of(folder, "path,label", "folder.jpg,cat", "pipe.jpg,dog")
    assert message.count("is not a regular file") == 2


def test_a_path_that_no_system_takes_is_a_problem_and_no_crash(folder):
    assert "embedded null byte" in problems_of(folder, "path,label", "a\0b.png,cat")
    assert "File name too long" in problems_of(folder, "path,label", f"{'a' * 5000}.png,cat")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"path_column": "paths"},
            r"no column 'paths'\. Did you mean 'path'\? Its columns: path, label\. .*path_column",
        ),
        ({"label_column": "class"}, r"no column 'class'\. Its columns: path, label\. Set data\.label_column=NAME"),
        ({"split_column": "split"}, r"no column 'split'.*data\.split_column"),
        ({"group_column": "patient"}, r"no column 'patient'.*data\.group_column"),
    ],
)
def test_a_missing_column_is_an_error_with_the_nearest_name(folder, options, message):
    with pytest.raises(DataError, match=message):
        read(folder, "path,label", *rows(), **options)


def test_one_class_only_is_an_error(folder):
    with pytest.raises(DataError, match=r"one class only \(cat\)"):
        read(folder, "path,label", *rows(lambda _: "cat"))


def test_no_table_named_is_an_error():
    with pytest.raises(DataError, match=r"data\.path=FILE"):
        read_table()


def test_one_table_for_all_and_one_for_a_split_are_an_error(folder):
    path = write(folder, "path,label", *rows())
    with pytest.raises(DataError, match="one table for all splits"):
        read_table(path=path, test=path)


def test_a_split_column_in_a_table_for_one_split_is_an_error(folder):
    path = write(folder, "path,label,split", "00.png,cat,train")
    with pytest.raises(DataError, match=r"data\.split_column=split belongs to data\.path"):
        read_table(train=path, split_column="split")


def test_an_absent_root_is_an_error(folder):
    with pytest.raises(DataError, match=r"data\.root=.*gone"):
        read(folder, "path,label", *rows(), root=str(folder / "gone"))


# Real data, and the data module


def test_the_same_images_as_a_table_and_as_folders(shared_data, tmp_path):
    root = shared_data / "flowers8"
    files = sorted(root.rglob("*.jpg"))
    with (tmp_path / "flowers.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "split"])
        writer.writerows([path.relative_to(root), path.parent.name, path.parts[-3]] for path in files)
    splits = read_table(path=str(tmp_path / "flowers.csv"), root=str(root), split_column="split")
    assert sizes(splits) == (144, 48, 48)
    assert splits.class_names[:2] == ["cape_flower", "carnation"]


def test_the_data_module_reads_with_its_seed_and_the_class_list_of_a_checkpoint(folder):
    path = write(folder, "path,label", *rows())
    data = TableData(path=path, val_fraction=0.25, test_fraction=0.25, preprocess=Preprocess(size=4), seed=3)
    expected = read_table(path=path, val_fraction=0.25, test_fraction=0.25, seed=3)
    assert list(data.read(None).test.names) == list(expected.test.names)
    assert data.read(["dog", "cat"]).class_names == ["dog", "cat"]
