"""From the members of a shard to samples."""

import io
import json

import pytest

from imgrec.data.shards import tar_index
from imgrec.data.shards.tar_index import Keys, index_shard, load_index, make_index, save_index
from imgrec.errors import DataError
from tar_files import special, tar


def index(*members, **keys):
    return index_shard(io.BytesIO(tar(*members)), name="s.tar", keys=Keys(**keys))


def rows(*members, **keys):
    columns = ("name", "labels", "group")
    return [tuple(row[column] for column in columns) for row in index(*members, **keys).to_pylist()]


def facts(table):
    return json.loads(table.schema.metadata[b"imgrec"])


def test_a_sample_is_an_image_and_its_label():
    data = tar(("1.jpg", b"abc"), ("1.cls", b"5\n"), ("2.cls", b"dog"), ("2.PNG", b"de"))
    found = index_shard(io.BytesIO(data), name="s.tar", keys=Keys()).to_pylist()
    assert [data[row["offset"] :][: row["size"]] for row in found] == [b"abc", b"de"]
    assert [(row["name"], row["labels"]) for row in found] == [("s.tar/1.jpg", ["5"]), ("s.tar/2.PNG", ["dog"])]


@pytest.mark.parametrize("ending", "jpg jpeg png webp bmp gif tif tiff ppm pgm avif".split())  # noqa: SIM905
def test_images_have_one_of_these_endings(ending):
    assert len(rows((f"1.{ending}", b"1"), ("1.cls", b"0"))) == 1


@pytest.mark.parametrize("ending", "pyd pickle pkl pth pt npy npz pyc html ten mp4 seg.png".split())  # noqa: SIM905
def test_everything_else_is_excluded_unseen_and_counted(ending):
    table = index(("1.jpg", b"1"), (f"1.{ending}", b"cos\nsystem\n(S'false'\ntR."), ("1.cls", b"0"))
    assert len(table) == 1
    assert facts(table)["excluded"] == {f".{ending}": 1}


def test_the_label_is_the_text_of_cls_before_that_of_txt():
    assert rows(("1.jpg", b""), ("1.txt", b" cat \n"))[0][1] == ["cat"]
    assert rows(("1.jpg", b""), ("1.txt", b"cat"), ("1.cls", b"7"))[0][1] == ["7"]


@pytest.mark.parametrize(
    ("value", "labels"), [("cat", ["cat"]), (3, ["3"]), (["a", "b", "a"], ["a", "b"]), ([], []), (True, ["1"])]
)
def test_a_label_may_be_in_the_json(value, labels):
    member = ("1.json", json.dumps({"kind": value, "label": "no"}).encode())
    table = index(("1.jpg", b""), member, ("1.cls", b"9"), label="kind")
    assert table["labels"].to_pylist() == [labels]
    assert facts(table)["multilabel"] is (len(labels) != 1)


def test_a_group_may_be_in_the_json():
    assert rows(("1.jpg", b""), ("1.cls", b"1"), ("1.json", b'{"patient": 12}'), group="patient")[0][2] == "12"


def test_samples_in_folders_with_the_same_file_name_are_two():
    assert len(rows(("a/1.jpg", b""), ("a/1.cls", b"0"), ("b/1.jpg", b""), ("b/1.cls", b"1"))) == 2


def test_hidden_members_and_samples_without_an_image_are_excluded_and_counted():
    table = index(("1.jpg", b""), ("1.cls", b"0"), ("readme.txt", b"hello"), ("__MACOSX/._1.jpg", b""), (".x.jpg", b""))
    assert facts(table)["excluded"] == {"sample without an image": 1, "hidden": 2}


def test_links_are_excluded_and_counted():
    table = index(("1.jpg", b""), ("1.cls", b"0"), special("2.jpg", b"2", "/etc/passwd"))
    assert facts(table)["excluded"] == {"symbolic link": 1}


@pytest.mark.parametrize(
    ("members", "keys", "message"),
    [
        ([("1.jpg", b"")], {}, r"1 has no \.cls and no \.txt; see data\.label_key"),
        ([("1.jpg", b""), ("1.cls", b" \n")], {}, r"1 has no \.cls"),
        ([("1.jpg", b""), ("1.json", b'{"a": 1}')], {"label": "b"}, r"1 has no 'b' in its \.json"),
        ([("1.jpg", b""), ("1.json", b'{"a": {}}')], {"label": "a"}, "1 has no 'a'"),
        ([("1.jpg", b""), ("1.json", b"[1]")], {"label": "a"}, "no object"),
        ([("1.jpg", b""), ("1.json", b"{")], {"label": "a"}, "1: Expecting"),
        ([("1.jpg", b""), ("1.json", b"[" * 100_000)], {"label": "a"}, "1: "),
        ([("1.jpg", b""), ("1.cls", b"\xff\xfe")], {}, "1: .*utf-8"),
        ([("1.jpg", b""), ("1.cls", b"0"), ("1.json", b"{}")], {"group": "p"}, "1 has no 'p'"),
        ([("1.jpg", b""), ("1.png", b""), ("1.cls", b"0")], {}, r"1 has jpg, png; set data\.image_key"),
        ([("1.jpg", b""), ("1.jpg", b""), ("1.cls", b"0")], {}, r"1\.jpg is there twice"),
        (
            [("1.jpg", b""), ("1.cls", b"0"), ("2.cls", b"0"), ("1.jpg", b"")],
            {},
            "1 is there twice, with other samples",
        ),
        ([("1.txt", b"a"), ("2.pkl", b"")], {}, r"holds no images \(jpg.*sample without an image"),
        ([], {}, "holds no images.*It is empty"),
    ],
)
def test_what_cannot_be_a_sample_is_said(members, keys, message):
    with pytest.raises(DataError, match=message):
        rows(*members, **keys)


def test_image_key_chooses_among_several_images():
    members = (("1.left.jpg", b""), ("1.right.jpg", b""), ("1.cls", b"0"))
    assert rows(*members, image="right.jpg")[0][0] == "s.tar/1.right.jpg"


def test_a_label_of_many_megabytes_is_not_read(monkeypatch):
    monkeypatch.setattr(tar_index, "MAX_LABEL_BYTES", 10)
    with pytest.raises(DataError, match=r"1\.cls has 11 bytes; at most 10 for a label"):
        rows(("1.jpg", b""), ("1.cls", b"12345678901"))


def test_an_image_of_more_than_a_gigabyte_is_not_read(monkeypatch):
    monkeypatch.setattr(tar_index, "MAX_FILE_BYTES", 10)
    with pytest.raises(DataError, match=r"1\.jpg has 11 bytes; at most 10"):
        rows(("1.jpg", bytes(11)), ("1.cls", b"1"))


# The file


def test_an_index_comes_back_as_it_was_saved(tmp_path):
    table = index(("1.jpg", b"1"), ("1.cls", b"0"), ("2.jpg", b"1"), ("2.cls", b"1"))
    save_index(table, tmp_path / "i.parquet")
    loaded, known = load_index((tmp_path / "i.parquet").read_bytes(), name="i")
    assert loaded.to_pylist() == table.to_pylist()
    assert known == facts(table)


def test_damaged_and_other_files_are_no_indexes(tmp_path):
    import pyarrow
    import pyarrow.parquet

    path = tmp_path / "i.parquet"
    for data in (b"", b"PAR1", b"nonsense" * 99):
        with pytest.raises(DataError, match="i is no index of shards, or damaged"):
            load_index(data, name="i")
    pyarrow.parquet.write_table(pyarrow.table({"a": [1]}), path)
    with pytest.raises(DataError, match="is no index"):
        load_index(path.read_bytes(), name="i")
    save_index(make_index([], {"version": 99}), path)
    with pytest.raises(DataError, match="later release"):
        load_index(path.read_bytes(), name="i")
    save_index(make_index([{"shard": "s", "name": "n", "offset": None, "size": 1, "labels": ["a"]}], {}), path)
    with pytest.raises(DataError, match="cells are empty"):
        load_index(path.read_bytes(), name="i")
