"""The table that a plan makes of the data: what it says, and that `data=table` reads it."""

import os
from pathlib import Path

import numpy as np
import pytest

from imgrec.auditing.output.clean_table import clean_table
from imgrec.auditing.output.plan_file import Decision
from imgrec.data.images.collections import ArrayImages, FileImages
from imgrec.data.samples import Samples
from imgrec.data.sources.table import list_table, read_table
from imgrec.errors import DataError

CLASSES = ["cat", "dog"]


def samples(folder: Path, names: list[str], labels: list[int], groups: list[str] | None = None) -> Samples:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return Samples(
        names=[str(folder / name) for name in names],
        images=FileImages([folder / name for name in names]),
        labels=np.array(labels, dtype=np.int64),
        groups=groups,
    )


@pytest.fixture
def parts(tmp_path: Path) -> dict[str, Samples]:
    return {
        "train": samples(tmp_path, ["train/cat/a.png", "train/cat/b.png", "train/dog/c.png"], [0, 0, 1]),
        "test": samples(tmp_path, ["test/cat/d.png", "test/dog/e.png"], [0, 1]),
    }


def make(parts, output: Path, *decisions: Decision, class_names=CLASSES, task="single"):
    return clean_table(parts, class_names=class_names, task=task, decisions=decisions, output=output)


def rows(table) -> list[list[str]]:
    return [line.split(",") for line in table.content.decode().splitlines()]


def listed(table: Path) -> list[Path]:
    """Return the files that a table names."""
    images = list_table(path=str(table)).parts["all"].images
    assert isinstance(images, FileImages)
    return list(images.paths)


def test_without_decisions_the_table_is_the_data(parts, tmp_path):
    table = make(parts, tmp_path / "clean.csv")
    assert rows(table)[:2] == [["path", "label", "split"], ["train/cat/a.png", "cat", "train"]]
    assert len(rows(table)) == 6


def test_decisions_are_carried_out(parts, tmp_path):
    decisions = [
        Decision("line 2", 0, "remove"),
        Decision("line 3", 1, "relabel", new_label=1),
        Decision("line 4", 2, "move", new_split="val"),
        Decision("line 5", 3, "review", new_label=1),
        Decision("line 6", 4, "keep"),
    ]
    table = make(parts, tmp_path / "clean.csv", *decisions)
    assert rows(table)[1:] == [
        ["train/cat/b.png", "dog", "train"],
        ["train/dog/c.png", "dog", "val"],
        ["test/cat/d.png", "cat", "test"],
        ["test/dog/e.png", "dog", "test"],
    ]
    assert table.counts["removed"] == table.counts["relabelled"] == table.counts["moved"] == 1
    assert table.counts["kept"] == 4


def test_the_table_source_reads_it_with_its_overrides(parts, tmp_path):
    output = tmp_path / "clean.csv"
    table = make(parts, output, Decision("line 2", 0, "remove", group=""))
    output.write_bytes(table.content)
    assert table.overrides == ["data.split_column=split"]
    splits = read_table(path=str(output), split_column="split", val_fraction=0)
    assert [len(splits.train), len(splits.test)] == [2, 2]
    assert splits.class_names == CLASSES


def test_images_outside_the_table_s_folder_have_absolute_paths(parts, tmp_path):
    table = make(parts, tmp_path / "elsewhere" / "clean.csv")
    assert rows(table)[1][0] == str(tmp_path / "train/cat/a.png")


def test_duplicates_of_the_plan_and_groups_of_the_data_are_merged(tmp_path):
    parts = {"all": samples(tmp_path, ["a.png", "b.png", "c.png", "d.png"], [0, 0, 1, 1], ["p1", "p1", "p2", ""])}
    decisions = [
        Decision("line 2", 1, "keep", group="duplicates-0001"),
        Decision("line 3", 2, "keep", group="duplicates-0001"),
    ]
    table = make(parts, tmp_path / "clean.csv", *decisions)
    groups = [row[2] for row in rows(table)[1:]]
    assert rows(table)[0] == ["path", "label", "group"]
    assert groups[0] == groups[1] == groups[2] == "p1"
    assert groups[3] not in ("", "p1")
    assert table.overrides == ["data.group_column=group"]


@pytest.mark.parametrize("name", ["=cmd().png", "+a.png", "a\nb.png", 'a "b", c.png', " a.png", "ünï.png"])
def test_a_strange_file_name_is_found_again(name, tmp_path):
    parts = {"all": samples(tmp_path, [name, "b.png", "c.png"], [0, 1, 1])}
    output = tmp_path / "clean.csv"
    output.write_bytes(make(parts, output).content)
    assert not output.read_bytes().splitlines()[1].startswith((b"=", b"+"))
    assert listed(output)[0].samefile(tmp_path / name)


@pytest.mark.skipif(os.name != "posix", reason="file names are bytes on POSIX alone")
def test_a_name_that_is_not_unicode_goes_into_json_lines_only(tmp_path):
    parts = {"all": samples(tmp_path, ["caf\udce9.png", "b.png", "c.png"], [0, 1, 1])}
    with pytest.raises(DataError, match=r"Use JSON lines: --output clean\.jsonl"):
        make(parts, tmp_path / "clean.csv")
    output = tmp_path / "clean.jsonl"
    output.write_bytes(make(parts, output).content)
    assert listed(output)[0].samefile(tmp_path / "caf\udce9.png")


def test_a_class_that_a_spreadsheet_would_run_is_refused_in_csv(tmp_path):
    parts = {"all": samples(tmp_path, ["a.png", "b.png"], [0, 1])}
    with pytest.raises(DataError, match=r"=cmd\(\)"):
        make(parts, tmp_path / "clean.csv", class_names=["=cmd()", "dog"])


def test_the_delimiter_of_several_labels_is_in_none_of_them(tmp_path):
    one = samples(tmp_path, ["a.png", "b.png"], [0, 1])
    parts = {"all": Samples(one.names, one.images, np.array([[1, 1], [0, 0]], dtype=np.uint8))}
    table = make(parts, tmp_path / "clean.csv", class_names=["a;b", "c"], task="multilabel")
    assert rows(table)[1:] == [["a.png", "a;b|c"], ["b.png", ""]]
    assert table.overrides == ["data.label_delimiter='|'"]


def test_images_in_memory_cannot_be_named_by_a_table(tmp_path):
    images = ArrayImages(np.zeros((1, 8, 8), dtype=np.uint8))
    parts = {"all": Samples(["x.npz/00000"], images, np.array([0]))}
    with pytest.raises(DataError, match="not a file of its own"):
        make(parts, tmp_path / "clean.csv")


def test_images_without_a_label_are_refused_unless_the_plan_removes_or_names_them(tmp_path):
    parts = {"all": samples(tmp_path, ["a.png", "b.png"], [-1, -1])}
    with pytest.raises(DataError, match="2 images have no label"):
        make(parts, tmp_path / "clean.csv")
    decisions = [Decision("line 2", 0, "remove"), Decision("line 3", 1, "relabel", new_label=1)]
    assert rows(make(parts, tmp_path / "clean.csv", *decisions))[1:] == [["b.png", "dog"]]
