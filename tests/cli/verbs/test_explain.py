"""`imgrec explain` as its user meets it."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from imgrec.cli.verbs import explain
from imgrec.core.checkpoint.checkpoint import CheckpointInfo, save_checkpoint
from imgrec.data.images.image import read_image
from imgrec.errors import CheckpointError, ConfigError, DataError
from imgrec.evaluation.decisions import Decisions
from imgrec.evaluation.fit_on_split import decisions_in
from imgrec.evaluation.restore import load_classifier
from imgrec.models import make_small_cnn


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("run") / "best.ckpt")


def make_checkpoint(path: Path, *, task: str = "single", temperature: float = 1.0) -> Path:
    torch.manual_seed(1)
    network = make_small_cnn(2, channels=[4, 8], hidden=8)
    model = {"_target_": "imgrec.models.make_small_cnn", "num_classes": 2, "channels": [4, 8], "hidden": 8}
    preprocess = {"_target_": "imgrec.data.Preprocess", "size": 16, "mode": "squash"}
    info = CheckpointInfo(
        config={"model": {**model, "weights": "x.pth"}, "preprocess": preprocess},
        class_names=["ants", "<b>"], task=task, data_fingerprint="0", seed=1, batch_size=1, world_size=1, version="0",
        extra={"decisions": Decisions(task, ("ants", "<b>"), temperature=temperature).to_dict()},
    )  # fmt: skip
    tensors = {f"net.{key}": value for key, value in network.state_dict().items()}
    save_checkpoint({"state_dict": tensors, "imgrec": info.to_record()}, path)
    return path


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """photos/ants/{0,1,2}.png, in the present folder."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "photos" / "ants"
    folder.mkdir(parents=True)
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (20, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["explain", *map(str, arguments)])
    try:
        explain.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def content(folder: str = "explanation") -> dict:
    return json.loads(Path(folder, "explain.json").read_text())


def test_a_file_and_a_folder_become_rows_panels_and_a_page(checkpoint, photos, monkeypatch, capsys):
    assert run(monkeypatch, checkpoint, photos / "1.png", "photos") == 0
    rows = content()["images"]
    assert [Path(row["path"]).name for row in rows] == ["1.png", "0.png", "2.png"]  # each once, in the order given
    assert {row["label"] for row in rows} == {"ants"}
    assert all(Path("explanation", row["png"]).is_file() for row in rows)
    assert "Saliency maps: " in Path("explanation/explain.html").read_text()
    printed = capsys.readouterr().out
    assert "gradcam: " in printed and "explain.html" in printed


def test_all_methods_for_a_class_of_ones_own(checkpoint, photos, monkeypatch):
    arguments = ("--method", "all", "--target", "<b>", "--output", "maps", "--baseline", "mean")
    assert run(monkeypatch, checkpoint, photos / "0.png", *arguments) == 0
    read = content("maps")
    assert [row["method"] for row in read["images"]] == list(explain.METHODS)
    assert {row["target"] for row in read["images"]} == {"<b>"}
    assert read["baseline"] == "mean"
    assert "<b>" not in Path("maps/explain.html").read_text().replace("<b>Grad", "").replace("<b>Int", "").replace(
        "<b>Occ", ""
    )


def test_probabilities_are_those_of_predict_with_the_checkpoint_s_temperature(photos, monkeypatch):
    path = make_checkpoint(Path("best.ckpt"), temperature=0.01)
    assert run(monkeypatch, path, photos / "0.png") == 0
    (row,) = content()["images"]
    loaded = load_classifier(path)
    image = loaded.preprocess(read_image(photos / "0.png"))
    logits = loaded.network(torch.from_numpy(image.transpose(2, 0, 1)[None].copy())).detach().numpy()
    expected = decisions_in(loaded.info, name="best.ckpt").decide(logits).prediction(0)
    assert (row["prediction"], row["confidence"]) == (expected.prediction, round(expected.confidence, 4))
    assert row["probability"] == row["confidence"]
    plain = Decisions("single", ("ants", "<b>")).decide(logits).prediction(0)
    assert abs(plain.confidence - row["confidence"]) > 0.01  # else this tells nothing


def test_with_several_labels_each_that_is_predicted_is_explained(photos, monkeypatch):
    path = make_checkpoint(Path("best.ckpt"), task="multilabel")
    assert run(monkeypatch, path, photos / "0.png") == 0
    rows = content()["images"]
    said = rows[0]["prediction"]
    assert isinstance(said, list) and all(row["label"] is None for row in rows)
    assert sorted(row["target"] for row in rows) == sorted(said) if said else len(rows) == 1
    assert len({row["png"] for row in rows}) == len(rows)
    assert all(row["probability"] == row["confidence"] for row in rows)
    assert run(monkeypatch, path, photos / "0.png", "--target", "ants") == 0
    (row,) = content()["images"]
    assert row["target"] == "ants" and row["prediction"] == said


def test_a_limit_spreads_over_the_list_and_is_said(checkpoint, photos, monkeypatch, capsys):
    assert run(monkeypatch, checkpoint, "photos/ants/*.png", "--limit", 2) == 0
    assert [Path(row["path"]).name for row in content()["images"]] == ["0.png", "1.png"]
    assert content()["notes"] == ["2 of 3 images, evenly spread over the list. More: --limit N."]
    assert "2 of 3 images" in capsys.readouterr().out


def test_a_broken_image_is_a_row_with_its_reason_and_exit_code_1(checkpoint, photos, monkeypatch, capsys):
    (photos / "1.png").write_bytes((photos / "1.png").read_bytes()[:60])
    assert run(monkeypatch, checkpoint, "photos") == 1
    (failed,) = content()["failed"]
    assert failed["path"].endswith("1.png") and failed["reason"] in ("truncated", "damaged")
    assert len(content()["images"]) == 2
    assert "Could not be read: " in capsys.readouterr().out
    assert "Unreadable images" in Path("explanation/explain.html").read_text()


def test_where_no_image_can_be_read_nothing_is_written(checkpoint, photos, monkeypatch):
    Path("empty.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"None of the 1 images can be read, the first: empty\.png"):
        run(monkeypatch, checkpoint, "empty.png")
    assert not Path("explanation").exists()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["{c}", "photo"], DataError, r"photo: no such image, folder or pattern\. Did you mean 'photos'"),
        (["{c}", "photos/*.gif"], DataError, r"photos/\*\.gif: no such image"),
        (["{c}", "void"], DataError, "void: no image in this folder"),
        (["{c}", "photos", "--target", "ant"], ConfigError, r"--target ant .*Did you mean 'ants'\? Classes: ants"),
        (["{c}", "photos", "--limit", "0"], ConfigError, "--limit=0"),
        (["{c}", "photos", "--method", "cam"], ConfigError, r"invalid choice: 'cam'.*imgrec explain --help"),
        (["{c}"], ConfigError, "ollowing arguments are required: INPUT"),
        (["none.ckpt", "photos"], CheckpointError, r"none\.ckpt does not exist"),
    ],
)
def test_what_cannot_be_is_said(arguments, error, message, checkpoint, photos, monkeypatch):
    Path("void").mkdir()
    with pytest.raises(error, match=message):
        run(monkeypatch, *(argument.format(c=checkpoint) for argument in arguments))
