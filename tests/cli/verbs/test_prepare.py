"""`imgrec prepare`: from the command line to a folder that training reads."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgrec.cli.verbs import prepare
from imgrec.data.sources.folder import read_folder
from imgrec.data.sources.prepared import read_prepared
from imgrec.data.sources.shards import ShardsData
from imgrec.errors import ConfigError, DataError


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(6):
            image = rng.integers(0, 256, (*rng.integers(20, 60, size=2), 3), dtype=np.uint8)
            Image.fromarray(image).save(tmp_path / "photos" / name / f"{number}.png")
    return tmp_path / "photos"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["imgrec prepare", *map(str, arguments)])
    prepare.main()


def test_a_folder_becomes_prepared_data_that_training_reads(photos, tmp_path, monkeypatch, capsys):
    run(monkeypatch, photos, "--output", tmp_path / "out", "--side", 32, "--workers", 2)
    assert read_prepared(root=str(tmp_path / "out")).train.names == read_folder(root=str(photos)).train.names
    said = capsys.readouterr().out
    assert "12 images (all 12), 2 classes, shorter side 32 px" in said
    assert f"data=prepared data.root={tmp_path / 'out'} preprocess.size=28 preprocess.resize=32" in said


def test_overrides_and_options_say_how_the_target_is_read(photos, tmp_path, monkeypatch):
    options = ["--group-pattern", r"^(\d+)", "data.exclude=[5.png]"]
    run(monkeypatch, photos, *options, "--output", tmp_path / "out", "--workers", 1)
    found = read_prepared(root=str(tmp_path / "out"), val_fraction=0, test_fraction=0)
    assert found.train.groups == [str(number % 5) for number in range(10)]


def test_overrides_alone_name_the_data(tmp_path, monkeypatch):
    run(monkeypatch, "data=digits", "--output", tmp_path / "out", "--side", 8)
    assert len(read_prepared(root=str(tmp_path / "out"), val_fraction=0, test_fraction=0).train) == 1797


def test_prepared_data_can_be_prepared_smaller(photos, tmp_path, monkeypatch):
    run(monkeypatch, photos, "--output", tmp_path / "large", "--side", 32, "--workers", 1)
    run(monkeypatch, tmp_path / "large", "--output", tmp_path / "small", "--side", 16)
    large, small = (read_prepared(root=str(tmp_path / name)).train for name in ("large", "small"))
    assert small.names == large.names
    assert min(small.images[0].shape[:2]) == 16


def test_unreadable_files_are_said(photos, tmp_path, monkeypatch, capsys):
    (photos / "cat" / "0.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match="cannot be read"):
        run(monkeypatch, photos, "--output", tmp_path / "out", "--workers", 1)
    run(monkeypatch, photos, "--output", tmp_path / "out", "--workers", 1, "--max-bad", "0.1")
    said = capsys.readouterr()
    assert "could not be read: " in said.err
    assert "cat/0.png" in said.err
    assert "1 of them unreadable" in said.out


def test_verifying_says_that_all_is_well(photos, tmp_path, monkeypatch, capsys):
    run(monkeypatch, photos, "--output", tmp_path / "out", "--workers", 1)
    run(monkeypatch, "--verify", tmp_path / "out")
    assert "12 images are unchanged" in capsys.readouterr().out


def test_shards_are_tar_files_of_the_images(photos, tmp_path, monkeypatch, capsys):
    run(monkeypatch, photos, "--output", tmp_path / "out", "--shards")
    assert list((tmp_path / "out").glob("*.tar"))
    assert "data=shards" in capsys.readouterr().out
    data = ShardsData(root=str(tmp_path / "out"), preprocess=None)
    assert data.splits.class_names == ["cat", "dog"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--side", "32"], "Name one folder or one table"),
        (["photos", "others"], "not photos and others"),
        (["photos"], "Give the folder to write"),
        (["photos", "--output", "out", "--sidee", "3"], "Unrecognized arguments: --sidee 3"),
        (["photos", "--output", "out", "--side", "x"], "Argument --side: invalid int value"),
        (["photos", "--output", "out", "--side", "4"], "--side=4, but it must be a whole number, from 8"),
        (["photos", "--output", "out", "--workers", "0"], "--workers=0, but"),
        (["photos", "--output", "out", "--max-bad", "-1"], "--max-bad=-1.0, but it must be at least 0"),
        (["photos", "--output", "out", "--shards", "--overwrite"], "remove the old folder first"),
        (["--verify", "data=digits"], "Give the folder to verify"),
    ],
)
def test_a_wrong_command_line_is_said(photos, monkeypatch, arguments, message):
    monkeypatch.chdir(photos.parent)
    (photos.parent / "others").mkdir()
    with pytest.raises(ConfigError, match=message):
        run(monkeypatch, *arguments)


def test_an_output_inside_the_images_is_refused(photos, monkeypatch):
    with pytest.raises(DataError, match="is inside"):
        run(monkeypatch, photos, "--output", photos / "prepared")


@pytest.mark.guard
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_command_leaves_no_folder_and_can_be_run_again(photos, tmp_path, number):
    large = Image.linear_gradient("L").resize((1500, 1500)).convert("RGB")
    large.save(photos / "cat" / "large.jpg")
    for copy in range(100):
        (photos / "cat" / f"copy{copy}.jpg").write_bytes((photos / "cat" / "large.jpg").read_bytes())
    arguments = ["prepare", str(photos), "--output", str(tmp_path / "out"), "--side", "64"]
    command = [sys.executable, "-c", "from imgrec.cli import main; main()", *arguments]
    started = subprocess.Popen(command, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not (tmp_path / ".out.part" / "pixels-00000.bin").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(started.pid, number)
    started.communicate()
    assert not (tmp_path / "out").exists()
    subprocess.run(command, check=True, stderr=subprocess.PIPE)
    assert len(read_prepared(root=str(tmp_path / "out"), val_fraction=0, test_fraction=0).train) == 113
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["out", "photos"]
