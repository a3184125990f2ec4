"""Facts kept between scans."""

import dataclasses
import os
import sqlite3

import numpy as np
import pytest

from imgrec.auditing.scan.check import check_one
from imgrec.auditing.scan.facts import ImageFacts
from imgrec.auditing.scan.store import FactsStore, file_key
from planted import photograph


@pytest.fixture
def sample_image(tmp_path):
    path = tmp_path / "a.png"
    photograph(0).save(path)
    return path


def assert_equal(one: ImageFacts, other: ImageFacts):
    for field in dataclasses.fields(ImageFacts):
        assert np.array_equal(getattr(one, field.name), getattr(other, field.name)), field.name


def test_facts_come_back_as_they_were(tmp_path, sample_image):
    facts, key = dataclasses.replace(check_one(sample_image), flags=("gray", "alpha")), file_key(sample_image)
    store = FactsStore(tmp_path / "store.sqlite")
    store.put(key, facts)
    store.close()
    assert_equal(FactsStore(tmp_path / "store.sqlite").get(key), facts)


def test_broken_files_come_back_too(tmp_path):
    (tmp_path / "a.jpg").write_text("no image")
    facts, key = check_one(tmp_path / "a.jpg"), file_key(tmp_path / "a.jpg")
    store = FactsStore(tmp_path / "store.sqlite")
    store.put(key, facts)
    store.flush()
    assert_equal(store.get(key), facts)
    assert facts.code == "not_an_image"


def test_a_changed_file_is_not_known(tmp_path, sample_image):
    store = FactsStore(tmp_path / "store.sqlite")
    before = file_key(sample_image)
    store.put(before, check_one(sample_image))
    store.flush()
    os.utime(sample_image, ns=(1, 1))
    assert file_key(sample_image) != before
    assert store.get(file_key(sample_image)) is None
    photograph(1).save(sample_image)
    assert store.get(file_key(sample_image)) is None


def test_a_file_that_is_not_there_has_no_key(tmp_path):
    assert file_key(tmp_path / "none.jpg") is None
    assert file_key(tmp_path / "null\0.jpg") is None


@pytest.mark.parametrize("code", ["crashed", "timeout", "unreadable", "not_a_file"])
def test_what_may_be_otherwise_next_time_is_not_kept(tmp_path, sample_image, code):
    store = FactsStore(tmp_path / "store.sqlite")
    store.put(file_key(sample_image), ImageFacts(code=code))
    store.flush()
    assert store.get(file_key(sample_image)) is None


def test_without_a_path_nothing_is_kept_without_an_error(sample_image):
    store = FactsStore(None)
    store.put(file_key(sample_image), check_one(sample_image))
    store.close()
    assert store.get(file_key(sample_image)) is None
    assert store.trouble == ""


def test_a_file_that_is_no_store_is_left_as_it_is(tmp_path, sample_image):
    other = tmp_path / "notes.txt"
    other.write_text("my notes, which are not a database\n" * 100)
    store = FactsStore(other)
    assert "notes.txt" in store.trouble and "read all files again" in store.trouble
    store.put(file_key(sample_image), check_one(sample_image))
    store.close()
    assert other.read_text() == "my notes, which are not a database\n" * 100


def test_a_folder_that_cannot_be_created_is_reported(tmp_path):
    (tmp_path / "file").touch()
    assert "read all files again" in FactsStore(tmp_path / "file" / "store.sqlite").trouble


def test_a_damaged_row_is_reported_and_the_scan_continues(tmp_path, sample_image):
    path, key = tmp_path / "store.sqlite", file_key(sample_image)
    store = FactsStore(path)
    store.put(key, check_one(sample_image))
    store.close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE facts_2 SET hashes = x'00'")
    database.close()
    store = FactsStore(path)
    assert store.get(key) is None
    assert "read all files again" in store.trouble


def test_names_that_are_no_text_are_kept(tmp_path):
    path = tmp_path / os.fsdecode(b"\xff\xfe.png")
    photograph(0).save(path, "PNG")
    store = FactsStore(tmp_path / "store.sqlite")
    store.put(file_key(path), check_one(path))
    store.flush()
    assert store.get(file_key(path)).code == ""
