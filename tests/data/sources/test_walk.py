"""imgrec.data.sources.walk: which files are images, each once, and notes on excluded entries."""

import csv
import os

import pytest
from PIL import Image

from imgrec.data.images.formats import FORMAT_OF_SUFFIX
from imgrec.data.images.image import FORMATS
from imgrec.data.samples import Note
from imgrec.data.sources.walk import Walk, looks_like_image
from imgrec.errors import DataError


def paint(path, format=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), "red").save(path, format=format)


def walk(root, *folders, exclude=()):
    """Return the files below `folders` of `root`, as paths from `root`, and the walk."""
    found = Walk(inside=[os.path.realpath(root)], exclude=exclude)
    files = found.files([str(root / folder) for folder in folders])
    return [[os.path.relpath(path, root) for path in of_folder] for of_folder in files], found


# What is an image


@pytest.mark.parametrize("name", ["a.jpg", "a.JPG", "a.JpEg", "a.png", "a.webp", "a.bmp", "a.tif", "a.ppm", "a.avif"])
def test_a_known_ending_in_any_case_is_listed_unopened(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    assert walk(tmp_path, ".")[0] == [[name]]


@pytest.mark.parametrize("format", [name for name in FORMATS if name != "PPM"])
def test_a_file_without_ending_is_judged_by_its_content(tmp_path, format):
    paint(tmp_path / "a", format)
    assert walk(tmp_path, ".")[0] == [["a"]]


@pytest.mark.parametrize("mode", ["1", "L", "RGB"])
def test_a_netpbm_file_without_ending_is_an_image(tmp_path, mode):
    Image.new(mode, (8, 8)).save(tmp_path / "a", format="PPM")
    assert looks_like_image(str(tmp_path / "a"))


def test_every_format_of_the_decoder_has_an_ending():
    by_format = Image.registered_extensions()
    assert all(by_format.get(suffix, kind) == kind for suffix, kind in FORMAT_OF_SUFFIX.items())
    assert set(FORMAT_OF_SUFFIX.values()) == set(FORMATS)


@pytest.mark.parametrize("content", [b"", b"P", b"path,label\n", b"BMW and Audi", b"RIFF....WAVEfmt ", b"Program"])
def test_other_content_is_no_image(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    assert not looks_like_image(str(tmp_path / "a"))


def test_all_awkward_files_that_should_be_accepted_look_like_images(shared_data, tmp_path):
    rows = csv.DictReader((shared_data / "nasty" / "index.csv").read_text(encoding="utf-8").splitlines())
    accepted = [row["file"] for row in rows if row["verdict"] == "accept"]
    assert len(accepted) == 68
    assert [name for name in accepted if not looks_like_image(str(shared_data / "nasty" / "files" / name))] == []


# What is excluded


def test_files_that_are_no_images_are_excluded_and_named(tmp_path):
    paint(tmp_path / "a.png")
    (tmp_path / "GT-1.csv").write_text("a;b")
    files, found = walk(tmp_path, ".")
    assert files == [["a.png"]]
    assert found.notes() == [Note("excluded", f"Excluded 1 entry (not a supported image): {tmp_path}/GT-1.csv.")]


@pytest.mark.parametrize(
    "name", [".DS_Store", "Thumbs.db", ".ipynb_checkpoints/a.png", "__MACOSX/cat/a.png", "._a.jpg"]
)
def test_what_the_system_put_there_is_passed_over_and_named(tmp_path, name):
    paint(tmp_path / "a.png")
    paint(tmp_path / name, "PNG")
    files, found = walk(tmp_path, ".")
    assert files == [["a.png"]]
    assert "hidden" in found.notes()[0].text
    assert name.split("/")[0] in found.notes()[0].text


def test_a_pipe_and_a_folder_called_like_images_are_never_listed(tmp_path):
    paint(tmp_path / "a.png")
    os.mkfifo(tmp_path / "p.jpg")
    (tmp_path / "folder.jpg").mkdir()
    files, found = walk(tmp_path, ".")
    assert files == [["a.png"]]
    assert list(found.excluded) == ["not a regular file"]


@pytest.mark.parametrize("pattern", ["*.gif", "ants/no*.gif", "none.*"])
def test_excluded_files_are_excluded_and_named(tmp_path, pattern):
    paint(tmp_path / "ants" / "a.png")
    paint(tmp_path / "ants" / "none.gif")
    files, found = walk(tmp_path, "ants", exclude=[pattern])
    assert files == [["ants/a.png"]]
    assert "data.exclude" in found.notes()[0].text


def test_names_that_are_not_utf8_or_hold_a_line_end_stay_on_one_line_in_notes(tmp_path):
    for name in (b"caf\xe9", b"two\nlines"):
        (tmp_path / os.fsdecode(name)).write_text("text")
    notes = walk(tmp_path, ".")[1].notes()
    assert len(notes) == 1
    assert "\n" not in notes[0].text
    assert r"caf\xe9" in notes[0].text


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match="cannot be read: Permission denied"):
        walk(tmp_path, ".")


# Order, and links


def test_files_are_sorted_whatever_the_order_on_disk(tmp_path, monkeypatch):
    for name in ("b/2.png", "b/10.png", "a.png", "c.png"):
        paint(tmp_path / "x" / name)
    entries = Walk.entries
    monkeypatch.setattr(Walk, "entries", lambda self, folder: entries(self, folder)[::-1])
    backward = walk(tmp_path, "x")[0]
    monkeypatch.undo()
    assert backward == walk(tmp_path, "x")[0] == [["x/a.png", "x/b/10.png", "x/b/2.png", "x/c.png"]]


def test_a_loop_of_links_lists_each_image_once(tmp_path):
    paint(tmp_path / "cat" / "1.png")
    paint(tmp_path / "dog" / "2.png")
    (tmp_path / "cat" / "again").symlink_to(tmp_path / "cat")
    (tmp_path / "cat" / "up").symlink_to(tmp_path)
    (tmp_path / "cat" / "self").symlink_to("self")
    files, found = walk(tmp_path, "cat", "dog")
    assert files == [["cat/1.png"], ["dog/2.png"]]
    assert sum(map(len, found.excluded.values())) == 3


def test_a_link_to_a_listed_image_is_no_second_sample(tmp_path):
    paint(tmp_path / "cat" / "z.png")
    (tmp_path / "cat" / "a.png").symlink_to("z.png")
    files, found = walk(tmp_path, "cat")
    assert files == [["cat/z.png"]]
    assert "listed already" in found.notes()[0].text


def test_links_inside_the_data_folder_are_followed_once(tmp_path):
    paint(tmp_path / "pool" / "1.png")
    paint(tmp_path / "more" / "2.png")
    (tmp_path / "cat").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "cat" / name).symlink_to("../pool/1.png")
    (tmp_path / "cat" / "more").symlink_to("../more")
    assert walk(tmp_path, "cat")[0] == [["cat/a.png", "cat/more/2.png"]]


def test_a_class_folder_may_itself_be_a_link_inside(tmp_path):
    paint(tmp_path / "pool" / "1.png")
    (tmp_path / "cat").symlink_to("pool")
    assert walk(tmp_path, "cat")[0] == [["cat/1.png"]]


def test_links_that_lead_out_are_not_followed(tmp_path):
    paint(tmp_path / "elsewhere" / "1.png")
    root = tmp_path / "data"
    paint(root / "cat" / "2.png")
    (root / "cat" / "1.png").symlink_to(tmp_path / "elsewhere" / "1.png")
    (root / "cat" / "all").symlink_to(tmp_path / "elsewhere")
    files, found = walk(root, "cat")
    assert files == [["cat/2.png"]]
    assert "2 entries (link to outside the data folder)" in found.notes()[0].text


def test_a_broken_link_is_excluded_and_named(tmp_path):
    paint(tmp_path / "cat" / "1.png")
    (tmp_path / "cat" / "2.png").symlink_to("gone.png")
    files, found = walk(tmp_path, "cat")
    assert files == [["cat/1.png"]]
    assert "broken link" in found.notes()[0].text


def test_a_link_to_a_pipe_is_not_listed(tmp_path):
    paint(tmp_path / "cat" / "1.png")
    (tmp_path / "pool").mkdir()
    os.mkfifo(tmp_path / "pool" / "p")
    (tmp_path / "cat" / "2.png").symlink_to("../pool/p")
    assert walk(tmp_path, "cat")[0] == [["cat/1.png"]]
