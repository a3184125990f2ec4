"""From what a user writes to a list of shards. The package braceexpand is the independent reader of braces."""

import pytest

from imgrec.data.shards import shard_list
from imgrec.data.shards.shard_list import expand_braces, list_shards
from imgrec.errors import DataError


@pytest.mark.parametrize(
    "text",
    [
        "a.tar",
        "a-{0..3}.tar",
        "a-{008..011}.tar",
        "{b,c}-{1..2}",
        "{3..1}",
        "{a}{1,2}",
        "{}",
        "{a}",
        "{a..c}x",
        "}{",
    ],
)
def test_braces_mean_what_they_mean_elsewhere(text):
    braceexpand = pytest.importorskip("braceexpand").braceexpand
    if text == "{a..c}x":  # letters are no numbers of shards
        assert expand_braces(text) == [text]
    else:
        assert expand_braces(text) == list(braceexpand(text))


def test_braces_without_end_are_refused(monkeypatch):
    monkeypatch.setattr(shard_list, "MAX_SHARDS", 1000)
    for text in ("{0..9999999}", "{0..99}" * 5):
        with pytest.raises(DataError, match="more than 1,000 shards"):
            expand_braces(text)


def test_braces_within_braces_are_refused():
    with pytest.raises(DataError, match="nested braces"):
        expand_braces("x{a,b{1,2}}")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in ("t-2.tar", "t-10.tar", "t-1.tar", "v-1.tar"):
        (tmp_path / name).touch()
    (tmp_path / "t-dir.tar").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_pattern_finds_files_sorted(folder):
    assert list_shards("train", "t-*.tar") == ["t-1.tar", "t-10.tar", "t-2.tar"]
    assert list_shards("train", "t-?.tar") == ["t-1.tar", "t-2.tar"]


def test_lists_and_braces_keep_their_order(folder):
    assert list_shards("train", ["v-1.tar", "t-{2..1}.tar"]) == ["v-1.tar", "t-2.tar", "t-1.tar"]


def test_urls_are_taken_as_they_are_but_for_braces(folder):
    assert list_shards("train", "http://h/{a,b}.tar?x=1") == ["http://h/a.tar?x=1", "http://h/b.tar?x=1"]
    assert list_shards("train", f"file://{folder}/t-1.tar") == [f"{folder}/t-1.tar"]


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ([], "data.train names no shards"),
        ("t-3.tar", r"data\.train=t-3\.tar: no such file\. Did you mean 't-2\.tar'"),
        ("no/t-*.tar", r"no such file\.$"),
        (["t-1.tar", "t-*.tar"], r"names t-1\.tar twice"),
        ("s3://bucket/*.tar", r"cannot be listed\. Write braces"),
    ],
)
def test_what_names_no_shards_is_said(folder, places, message):
    with pytest.raises(DataError, match=message):
        list_shards("train", places)
