"""From arguments and lists to images, in order."""

import io
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from imgrec.deploy.predict.frames import Pace
from imgrec.deploy.predict.inputs import Inputs, read_inputs
from imgrec.errors import ConfigError, DataError, ImageError
from small_bundle import sample_image


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """photos/{b.png,a/1.PNG,a/2,.hidden.png,notes.doc}, in the present folder."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "photos"
    (folder / "a").mkdir(parents=True)
    for name in ("b.png", "a/1.PNG", "a/2", ".hidden.png"):
        (folder / name).write_bytes(sample_image(255, 0, 0))
    (folder / "notes.doc").write_text("none")
    return folder


def read(*arguments: str, lists: tuple[str, ...] = (), column: str = "path") -> Inputs:
    return read_inputs(arguments, lists=lists, path_column=column, pace=Pace())


def names(*arguments: str, **options: object) -> list[str]:
    return [item.name for item in read(*arguments, **options).items()]  # type: ignore[arg-type]


def outcome(inputs: Inputs) -> list[str]:
    """Return "ok" or the reason, item by item."""
    found = []
    for item in inputs.items():
        try:
            item.open().pixels()
            found.append("ok")
        except ImageError as error:
            found.append(error.code)
    return found


def test_a_folder_is_all_images_below_it_sorted_and_skipped_files_are_noted(photos):
    inputs = read("photos")
    assert [item.name for item in inputs.items()] == ["photos/a/1.PNG", "photos/a/2", "photos/b.png"]
    assert inputs.notes == [
        "Excluded 1 entry (hidden): photos/.hidden.png.",
        "Excluded 1 entry (not a supported image): photos/notes.doc.",
    ]
    assert inputs.expected == 3
    assert not inputs.has_time


def test_arguments_keep_their_order_and_a_pattern_is_sorted_without_hidden_files(photos):
    assert names("photos/b.png", "photos/a") == ["photos/b.png", "photos/a/1.PNG", "photos/a/2"]
    assert names("photos/**/*.[pP]*") == ["photos/a/1.PNG", "photos/b.png"]
    assert names("photos/*") == ["photos/a/1.PNG", "photos/a/2", "photos/b.png", "photos/notes.doc"]


def test_a_file_that_is_named_is_a_row_whatever_it_is(photos):
    assert outcome(read("photos/b.png", "photos/notes.doc")) == ["ok", "not_an_image"]


def test_a_file_whose_name_has_the_letters_of_a_pattern_is_that_file(photos):
    (photos / "x[1].png").write_bytes(sample_image(0, 0, 0))
    assert names("photos/x[1].png") == ["photos/x[1].png"]


@pytest.mark.parametrize(
    ("argument", "kind", "message"),
    [
        ("photo", DataError, "photo: no such file or folder. Did you mean 'photos'?"),
        ("photos/c.png/", DataError, "no such file or folder. Did you mean 'b.png'?"),
        ("no/where.png", DataError, "There is no folder no either."),
        ("photos/*.webp", DataError, "no file matches"),
        ("camera:front", ConfigError, "a camera is camera:NUMBER, the first one is camera:0"),
    ],
)
def test_an_argument_that_names_nothing_is_refused(photos, argument, kind, message):
    with pytest.raises(kind) as error:
        read(argument)
    assert message in str(error.value)


def test_an_empty_name_is_shown_as_such(photos):
    with pytest.raises(DataError, match=r"^'': no such file or folder"):
        read("")


def test_a_folder_without_images_is_refused_with_what_it_has(photos):
    (photos / "b.png").unlink()
    for file in (photos / "a").iterdir():
        file.unlink()
    with pytest.raises(DataError, match=r"No images found in photos\. Excluded 1 entry \(hidden\)"):
        read("photos")


def test_a_table_among_the_images_is_sent_to_the_option_for_lists(photos):
    Path("p.csv").write_text("path\nb.png\n")
    with pytest.raises(ConfigError, match=r"p\.csv is a table or list\. Give it as --list p\.csv"):
        read("p.csv")


def test_lists_name_files_from_their_own_folder_in_every_format(photos):
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = ["a/2", "missing.png", "b.png"]
    (photos / "l.txt").write_bytes(b"\xef\xbb\xbfa/2\r\nmissing.png\n\nb.png")
    (photos / "l.csv").write_text("id;file\n" + "".join(f"{i};{name}\n" for i, name in enumerate(rows)))
    (photos / "l.jsonl").write_text("".join(json.dumps({"file": name}) + "\n" for name in rows))
    pq.write_table(pa.table({"file": rows}), photos / "l.parquet")
    for file in ("l.txt", "l.csv", "l.jsonl", "l.parquet"):
        inputs = read(lists=(f"photos/{file}",), column="file")
        assert [item.name for item in inputs.items()] == rows, file
        assert outcome(inputs) == ["ok", "unreadable", "ok"], file


def test_a_list_of_names_that_are_not_utf_8_is_read(photos):
    name = os.fsdecode(b"\xff.png")
    (photos / name).write_bytes(sample_image(0, 0, 255))
    (photos / "l.txt").write_bytes(b"\xff.png\n")
    assert outcome(read(lists=("photos/l.txt",))) == ["ok"]


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("l.csv", "file,id\na,1\n", "l.csv has no column 'path'. Its columns: file, id. Give --path-column NAME."),
        ("l.csv", "paths,id\na,1\n", "Did you mean 'paths'?"),
        (
            "l.csv",
            "path,id\n,1\nb.png\n",
            "2 lines cannot be used:\n  line 3: 1 fields, but the header has 2\n  line 2: no",
        ),
        ("l.xlsx", "", "a list ends in one of .txt, .csv"),
        ("l.txt", "\n", "it names no images"),
        ("l.csv", "path\n", "has no rows"),
        ("gone.csv", None, "gone.csv: no such file"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused(photos, file, text, message):
    if text is not None:
        Path(file).write_text(text)
    with pytest.raises(DataError) as error:
        read(lists=(file,))
    assert message in str(error.value)


def give(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))


def test_standard_input_is_one_image_or_a_list(photos, monkeypatch):
    give(monkeypatch, sample_image(1, 2, 3))
    inputs = read("-")
    assert outcome(inputs) == ["ok"]
    assert inputs.digest() is None
    give(monkeypatch, b"photos/b.png\nphotos/a/2\n")
    assert outcome(read(lists=("-",))) == ["ok", "ok"]
    with pytest.raises(ConfigError, match="Standard input can be read once"):
        read("-", lists=("-",))


def test_images_are_others_when_one_changes_comes_or_goes(photos):
    first = read("photos").digest()
    assert read("photos").digest() == first
    (photos / "b.png").write_bytes(sample_image(0, 255, 0, size=(50, 50)))
    second = read("photos").digest()
    (photos / "c.png").write_bytes(sample_image(0, 255, 0))
    assert len({first, second, read("photos").digest()}) == 3
