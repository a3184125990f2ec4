"""`imgrec predict` as its user meets it."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from exported import CLASSES, PREPROCESS, network, write_bundle
from exported import sample_images as noise
from imgrec.cli.verbs import predict
from imgrec.errors import BundleError, CheckpointError, ConfigError, DataError, ImgrecError
from project import PROJECT
from small_bundle import colour_bundle, sample_image


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """m.onnx, which names the strongest colour, and photos/ of red, green, blue and broken, in the present folder."""
    monkeypatch.chdir(tmp_path)
    colour_bundle(tmp_path / "m.onnx")
    (tmp_path / "photos").mkdir()
    for name, colour in (("a_red", (255, 0, 0)), ("b_green", (0, 255, 0)), ("c_blue", (0, 0, 255))):
        (tmp_path / "photos" / f"{name}.png").write_bytes(sample_image(*colour))
    (tmp_path / "photos" / "d_cut.jpg").write_bytes(sample_image(9, 9, 9, size=(300, 300), kind="JPEG")[:900])
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["predict", *map(str, arguments)])
    try:
        predict.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def rows(path: str | Path) -> list[dict[str, str]]:
    return list(csv.DictReader(Path(path).read_text(encoding="utf-8").splitlines()))


def started(*arguments: object, cwd: Path) -> subprocess.Popen[bytes]:
    """Start the command as its user does, in a Python of its own."""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", "from imgrec.cli import main; main()", "predict", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cwd, env=environment)


def test_a_folder_becomes_a_table_and_a_bad_file_a_row(place, monkeypatch, capsys):
    assert run(monkeypatch, "m.onnx", "photos", "--output", "p.csv", "--top-k", 2) == 0
    table = rows("p.csv")
    assert [row["path"] for row in table] == [
        f"photos/{n}" for n in ("a_red.png", "b_green.png", "c_blue.png", "d_cut.jpg")
    ]
    assert [row["prediction"] for row in table] == ["red", "green", "blue", ""]
    assert [row["error"] for row in table] == ["", "", "", "truncated"]
    assert [next(iter(json.loads(row["probabilities"]))) for row in table[:3]] == ["red", "green", "blue"]
    assert len(json.loads(table[0]["probabilities"])) == 2
    assert table[0]["rejected:risk_5"] == "false"
    assert "4 images, " in (printed := capsys.readouterr().err)
    assert "/s: 3 predicted, 1 failed (truncated 1)." in printed
    assert sorted(path.name for path in place.iterdir()) == ["m.onnx", "p.csv", "photos"]


def test_the_three_formats_have_the_same_content(place, monkeypatch, capsysbinary):
    import pyarrow.parquet as pq

    assert run(monkeypatch, "m.onnx", "photos") == 0
    printed = capsysbinary.readouterr().out
    for kind in ("csv", "jsonl", "parquet"):
        assert run(monkeypatch, "m.onnx", "photos", "--output", f"p.{kind}") == 0
    assert Path("p.csv").read_bytes() == printed
    lines = [json.loads(line) for line in Path("p.jsonl").read_text().splitlines()]
    assert pq.read_table("p.parquet").to_pylist(maps_as_pydicts="strict") == lines
    assert [line["prediction"] or "" for line in lines] == [row["prediction"] for row in rows("p.csv")]
    assert list(lines[0]) == [
        "path", "prediction", "confidence", "probabilities", "rejected", "error", "detail"
    ]  # fmt: skip


def test_every_kind_of_input_in_one_table_in_order(place, monkeypatch):
    import cv2

    shutil.make_archive("z", "zip", "photos")
    writer = cv2.VideoWriter("f.mp4", cv2.VideoWriter_fourcc(*"mp4v"), 10, (64, 48))
    for _ in range(25):
        writer.write(np.full((48, 64, 3), (0, 255, 0), dtype=np.uint8))
    writer.release()
    Path("l.txt").write_text("photos/c_blue.png\ngone.png\n")
    arguments = ("photos/a_red.png", "z.zip", "f.mp4", "photos/*.png", "--list", "l.txt", "--every", 20, "--batch", 3)
    assert run(monkeypatch, "m.onnx", *arguments, "--output", "p.csv") == 0
    assert [(row["path"], row["prediction"], row["error"], row["frame"], row["time_s"]) for row in rows("p.csv")] == [
        ("photos/a_red.png", "red", "", "", ""),
        ("z.zip#a_red.png", "red", "", "", ""),
        ("z.zip#b_green.png", "green", "", "", ""),
        ("z.zip#c_blue.png", "blue", "", "", ""),
        ("z.zip#d_cut.jpg", "", "truncated", "", ""),
        ("f.mp4", "green", "", "0", "0.0"),
        ("f.mp4", "green", "", "20", "2.0"),
        ("photos/a_red.png", "red", "", "", ""),
        ("photos/b_green.png", "green", "", "", ""),
        ("photos/c_blue.png", "blue", "", "", ""),
        ("photos/c_blue.png", "blue", "", "", ""),
        ("gone.png", "", "unreadable", "", ""),
    ]


def test_strict_makes_bad_images_the_exit_code(place, monkeypatch):
    assert run(monkeypatch, "m.onnx", "photos", "--strict", "--output", "p.csv") == 1
    assert len(rows("p.csv")) == 4
    assert run(monkeypatch, "m.onnx", "photos/a_red.png", "--strict") == 0


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (["m.onnx"], ConfigError, "Which images?"),
        ([], ConfigError, "Which model? imgrec predict MODEL INPUT..."),
        (["n.onnx", "photos"], ConfigError, "No model n.onnx. Did you mean 'm.onnx'?"),
        (["photos", "photos"], ConfigError, "photos is a folder without best.ckpt or model.onnx"),
        (["photos/a_red.png", "photos"], BundleError, "a_red.png is not a model file. Give a checkpoint"),
        (["bad.ckpt", "photos"], CheckpointError, "bad.ckpt"),
        (["m.onnx", "photo"], DataError, "Did you mean 'photos'?"),
        (["m.onnx", "photos", "--output", "p.xlsx"], ConfigError, "end its name in .csv, .jsonl, .parquet"),
        (["m.onnx", "photos", "--output", "m.csv"], DataError, "m.csv exists. Give another name (--output FILE), or"),
        (["m.onnx", "photos", "--output", "d.csv", "--overwrite"], DataError, "d.csv exists and is not a file"),
        (["m.onnx", "photos", "--logits"], ConfigError, "--output FILE.parquet or FILE.jsonl"),
        (["m.onnx", "photos", "--logits", "--output", "p.csv"], ConfigError, "FILE.jsonl"),
        (["m.onnx", "photos", "--restart"], ConfigError, "add --output FILE"),
        (["m.onnx", "photos", "--top-k", "-1"], ConfigError, "--top-k=-1"),
        (["m.onnx", "photos", "--batch", "0"], ConfigError, "--batch=0"),
        (["m.onnx", "photos", "--every", "2", "--per-second", "1"], ConfigError, "--every or --per-second, not both"),
        (["m.onnx", "photos", "--per-second", "0"], ConfigError, "--per-second=0"),
        (["m.onnx", "photos", "--fast"], ConfigError, "Unrecognized arguments: --fast"),
    ],
)
def test_a_command_that_is_not_valid_is_refused_before_anything_is_written(
    place, monkeypatch, arguments, kind, message
):
    Path("m.csv").write_text("mine")
    Path("bad.ckpt").write_text("none")
    Path("d.csv").mkdir()
    before = sorted(place.rglob("*"))
    with pytest.raises(kind) as error:
        run(monkeypatch, *arguments)
    assert message in str(error.value)
    assert isinstance(error.value, ImgrecError)
    assert sorted(place.rglob("*")) == before
    assert Path("m.csv").read_text() == "mine"


def test_a_folder_in_the_place_of_the_model_stands_for_the_model_in_it(place, monkeypatch):
    (place / "run").mkdir()
    shutil.copy("m.onnx", "run/model.onnx")
    assert run(monkeypatch, "run", "photos", "--output", "p.csv") == 0
    assert [row["prediction"] for row in rows("p.csv")] == ["red", "green", "blue", ""]


def test_overwrite_replaces_a_table(place, monkeypatch):
    Path("p.csv").write_text("old")
    assert run(monkeypatch, "m.onnx", "photos", "--output", "p.csv", "--overwrite") == 0
    assert len(rows("p.csv")) == 4


def test_one_batch_or_many_and_any_threads_give_the_same_table(place, monkeypatch):
    model = write_bundle(place)
    save_noise(place / "noise")
    tables = []
    for arguments in (("--batch", 1), ("--batch", 7, "--threads", 3), ("--batch", 100, "--threads", 1), ()):
        assert run(monkeypatch, model, "noise", "--output", "p.csv", "--overwrite", *arguments) == 0
        tables.append(rows("p.csv"))
    for table in tables[1:]:
        assert [(row["path"], row["prediction"]) for row in table] == [
            (row["path"], row["prediction"]) for row in tables[0]
        ]
        pairs = zip(table, tables[0], strict=True)
        assert max(abs(float(one["confidence"]) - float(two["confidence"])) for one, two in pairs) < 1e-5


def save_noise(folder: Path, count: int = 30) -> None:
    folder.mkdir()
    known = noise(count)
    for number in range(count):
        Image.fromarray(known.images[number]).save(folder / f"{number:03}.png")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network of `exported` as training saves one."""
    from imgrec.core.checkpoint.checkpoint import CheckpointInfo, save_checkpoint

    layers = {"channels": [4, 8], "hidden": 8, "dropout": 0.0}
    info = CheckpointInfo(
        config={
            "model": {"_target_": "imgrec.models.make_small_cnn", "num_classes": 3, **layers},
            "preprocess": {"_target_": "imgrec.data.Preprocess", **PREPROCESS.to_dict()},
        },
        class_names=list(CLASSES), task="single", data_fingerprint="0", seed=1, batch_size=1, world_size=1, version="0",
    )  # fmt: skip
    path = tmp_path_factory.mktemp("run") / "best.ckpt"
    tensors = {f"net.{key}": value for key, value in network().state_dict().items()}
    save_checkpoint({"state_dict": tensors, "imgrec": info.to_record()}, path)
    return path


def test_a_checkpoint_and_its_bundle_give_the_same_predictions(place, checkpoint, monkeypatch):
    save_noise(place / "noise")
    (place / "noise" / "bad.png").write_bytes(b"")
    tables = []
    for model in (checkpoint, write_bundle(place)):
        arguments = ("--top-k", 3, "--logits", "--output", "p.jsonl", "--overwrite")
        assert run(monkeypatch, model, "noise", *arguments) == 0
        tables.append([json.loads(line) for line in Path("p.jsonl").read_text().splitlines()])
    assert len(tables[0]) == 31
    for one, two in zip(*tables, strict=True):
        assert (one["path"], one["prediction"], one["error"]) == (two["path"], two["prediction"], two["error"])
        if one["error"] is None:
            assert abs(one["confidence"] - two["confidence"]) < 1e-4
            assert np.abs(np.subtract(one["logits"], two["logits"])).max() < 1e-4
    assert {row["prediction"] for row in tables[0]} == {*CLASSES, None}


def test_from_a_bundle_nothing_of_the_training_side_is_imported(place):
    heavy = "torch torchvision pytorch_lightning hydra omegaconf albumentations pandas scipy pyarrow matplotlib sklearn"
    program = (
        "import sys; sys.argv = ['predict', 'm.onnx', 'photos', '--output', 'p.csv', '--top-k', '2']\n"
        "from imgrec.cli.verbs import predict; predict.main()\n"
        f"print(*({{name.partition('.')[0] for name in sys.modules}} & set({heavy!r}.split())))"
    )
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == ""
    assert len(rows("p.csv")) == 4


KILLED = """
import os, signal, sys
from imgrec.cli.verbs import predict
from imgrec.deploy.predict import partial

class Killed(partial.PartialTable):
    count = 0
    def add(self, data, state):
        super().add(data, state)
        self.count += 1
        if self.count == 30:  # the header and 29 batches
            self._rows.write(data[:7])
            self._rows.flush()
            os.kill(os.getpid(), signal.SIGKILL)

partial._EVERY_S = 0
import imgrec.deploy.predict.output
imgrec.deploy.predict.output.PartialTable = Killed
predict.main()
"""


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_killed_command_resumes_and_gives_the_same_table_byte_for_byte(place, monkeypatch, capsys, kind):
    """After `kill -9` every row is there once, and finished rows are not computed again."""
    model = write_bundle(place)
    save_noise(place / "many", 200)
    for number in range(0, 200, 20):
        (place / "many" / f"{number:03}.png").write_bytes(b"cut")
    arguments = [str(argument) for argument in (model, "many", "--batch", 4, "--threads", 2, "--top-k", 3)]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", KILLED, *arguments, "--output", f"p.{kind}"]
    assert subprocess.run(command, cwd=place, env=environment, check=False).returncode == -signal.SIGKILL
    assert not Path(f"p.{kind}").exists()
    assert Path(f"p.{kind}.partial").exists()

    with pytest.raises(DataError, match="interrupted run with other options"):
        run(monkeypatch, *arguments, "--batch", 5, "--output", f"p.{kind}")
    assert run(monkeypatch, *arguments, "--output", f"p.{kind}") == 0
    printed = capsys.readouterr().err
    assert "Resuming after 116 images." in printed
    assert "200 images, " in printed
    assert ": 190 predicted, 10 failed (not_an_image 10)." in printed
    assert run(monkeypatch, *arguments, "--output", f"whole.{kind}") == 0
    assert Path(f"p.{kind}").read_bytes() == Path(f"whole.{kind}").read_bytes()
    assert not list(place.glob("*.partial*"))


def test_ctrl_c_keeps_finished_rows_and_names_the_way_to_resume(place):
    slow = colour_bundle(place / "slow.onnx", work=700)
    (place / "l.txt").write_text("photos/a_red.png\n" * 100_000)
    arguments = (slow, "--list", "l.txt", "--batch", 4, "--output", "p.parquet")
    process = started(*arguments, cwd=place)
    partial = place / "p.parquet.partial"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (partial.exists() and partial.stat().st_size > 1000):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err.decode()
    assert "of 100,000 images. With --output, the same command resumes." in err.decode()
    assert b"Traceback" not in err
    assert json.loads((place / "p.parquet.partial.journal").read_bytes().splitlines()[-1])["state"]["images"] > 0


def test_a_closed_pipe_ends_it_quietly(place):
    (place / "l.txt").write_text("photos/a_red.png\n" * 3000)
    process = started("m.onnx", "--list", "l.txt", cwd=place)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 141
    assert err == b""


def test_a_file_that_is_not_a_video_is_reported_in_its_row_only(place):
    (place / "a.mp4").write_bytes(b"none")
    process = started("m.onnx", "a.mp4", "camera:99", cwd=place)
    _, err = process.communicate()
    assert (
        err.decode() == "imgrec: error: camera:99 cannot be opened. Is it connected, free, and allowed for this user?\n"
    )
    process = started("m.onnx", "a.mp4", cwd=place)
    out, err = process.communicate()
    assert out.decode().splitlines()[1].startswith("a.mp4,,,,,,,not_a_video,")
    assert err.decode().startswith("1 image, ")


def test_all_nasty_files_are_rows_that_match_their_index_in_one_run(shared_data, place, monkeypatch):
    folder = shared_data / "nasty"
    index = {row["file"]: row for row in rows(folder / "index.csv")}
    assert run(monkeypatch, "m.onnx", f"{folder}/files/*", "--output", "p.csv", "--batch", 16) == 0
    found = {Path(row["path"]).name: row for row in rows("p.csv")}
    assert sorted(found) == sorted(index)
    wrong = []
    for name, known in index.items():
        is_tiny = bool(known["stored_w"]) and min(int(known["stored_w"]), int(known["stored_h"])) < 8
        is_predicted = found[name]["error"] == ""
        assert is_predicted == (found[name]["prediction"] != "")
        expected = {"accept": not is_tiny, "policy": is_predicted}.get(known["verdict"], False)
        if is_predicted != expected or (
            is_tiny and known["verdict"] == "accept" and found[name]["error"] != "too_small"
        ):
            wrong.append((name, known["verdict"], found[name]["error"]))
    assert len(index) == 100
    assert wrong == []


def test_help_has_examples(capsys):
    with pytest.raises(SystemExit):
        predict.make_parser().parse_args(["--help"])
    assert "imgrec predict model.onnx photos/ --output predictions.csv" in capsys.readouterr().out
