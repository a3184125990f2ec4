"""`imgrec export` and `imgrec benchmark` as they are typed, from a checkpoint of a real run."""

import contextlib
import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from PIL import Image

from command import command
from imgrec.cli import app
from imgrec.cli.verbs.benchmark import make_parser as benchmark_parser
from imgrec.cli.verbs.export import make_parser
from imgrec.deploy.bundle import load_bundle
from imgrec.deploy.export.torch_file import load_pt2, load_safetensors
from imgrec.errors import ConfigError, DataError, ImgrecError, ParityError

TINY = ("model=small_cnn", "model.channels=[4,8]", "model.hidden=8", "trainer.gpus=0", "data.num_workers=0")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run on the built-in digits: folder with best.ckpt and evaluation/."""
    folder = tmp_path_factory.mktemp("run")
    done = command("train", *TINY, "trainer.max_epochs=2", "~logger", f"run_dir={folder}")
    assert done.code == 0, done.err
    return folder


@dataclass(frozen=True)
class Done:
    out: str
    err: str


def run_verb(*arguments: object) -> Done:
    """Run `imgrec ARGUMENTS` in this process; errors are raised."""
    out, err = io.StringIO(), io.StringIO()
    argv = mock.patch.object(sys, "argv", ["imgrec", *map(str, arguments)])
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), argv:
        app.run_verb(str(arguments[0]), [str(argument) for argument in arguments[1:]])
    return Done(out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def model(run: Path) -> Path:
    path = run / "model.onnx"
    done = run_verb("export", run / "best.ckpt", "--output", path)
    assert "180 of 180 predictions identical" in done.out
    return path


def test_a_bundle_gives_what_evaluate_gave(run, model, tmp_path):
    from imgrec.evaluation import read_parquet

    done = command("evaluate", f"checkpoint={run / 'best.ckpt'}", "split=val", "trainer.gpus=0", f"run_dir={tmp_path}")
    assert done.code == 0, done.err
    table = read_parquet(tmp_path / "predictions.parquet")
    from imgrec.data.sources.digits import DigitsData

    bundle = load_bundle(model)
    val = DigitsData(preprocess=bundle.preprocess).split("val")
    logits = bundle.run([bundle.preprocess(val.images[i]) for i in range(len(val))])
    assert list(val.names) == list(table.names)
    assert np.abs(logits - table.logits).max() < 1e-4
    assert np.abs(bundle.decisions.probabilities(logits) - table.probabilities).max() < 1e-5


def test_the_bundle_carries_where_it_comes_from(run, model):
    from imgrec.core.files.digest import sha256_of

    training = load_bundle(model).info.training
    assert training["checkpoint"] == "best.ckpt"
    assert training["checkpoint_sha256"] == sha256_of(str(run / "best.ckpt"))
    assert training["config"]["model"]["channels"] == [4, 8]
    assert str(run) not in json.dumps(training)


def test_the_decisions_of_the_checkpoint_are_those_of_the_bundle(run, model):
    from imgrec.core.checkpoint.checkpoint import load_checkpoint
    from imgrec.evaluation.fit_on_split import read_decisions

    expected = read_decisions(load_checkpoint(run / "best.ckpt"), name="best.ckpt")
    assert load_bundle(model).decisions.to_dict() == expected.to_dict()


def test_images_in_a_folder_are_enough_where_the_data_is_gone(run, tmp_path):
    random = np.random.default_rng(0)
    for i in range(6):
        Image.fromarray(random.integers(0, 255, (20 + i, 30, 3), dtype=np.uint8)).save(tmp_path / f"{i}.png")
    with mock.patch("imgrec.deploy.export.checkpoint._read_data", side_effect=AssertionError):
        done = run_verb(
            "export", run / "best.ckpt", "--images", tmp_path, "--input", "image", "--output", tmp_path / "m.onnx"
        )
    assert "6 of 6 predictions identical" in done.out
    assert "Accuracy" not in done.out
    assert load_bundle(tmp_path / "m.onnx").info.input == "image"


def test_files_for_pytorch_come_back_with_their_description(run, tmp_path):
    import torch

    images = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    run_verb("export", run / "best.ckpt", "--output", tmp_path / "m.safetensors", "--limit", "20")
    run_verb("export", run / "best.ckpt", "--output", tmp_path / "m.pt2", "--limit", "20")
    network, info = load_safetensors(tmp_path / "m.safetensors")
    program, same = load_pt2(tmp_path / "m.pt2")
    assert info == same
    with torch.inference_mode():
        assert torch.allclose(network(images), program(images), atol=1e-6)
        assert program(images[:1]).shape == (1, 10)


def test_a_damaged_file_for_pytorch_is_reported(tmp_path):
    for name, load in (("m.safetensors", load_safetensors), ("m.pt2", load_pt2)):
        (tmp_path / name).write_bytes(b"\x10\0\0\0\0\0\0\0garbage")
        with pytest.raises(ImgrecError, match=name):
            load(tmp_path / name)
        with pytest.raises(ImgrecError, match="absent"):
            load(tmp_path / "absent")


def test_a_network_outside_the_allow_list_is_not_built(run, tmp_path):
    from safetensors.torch import save_file

    run_verb("export", run / "best.ckpt", "--output", tmp_path / "m.safetensors", "--limit", "20")
    network, info = load_safetensors(tmp_path / "m.safetensors")
    hostile = {"imgrec": info.to_json().decode(), "model": json.dumps({"_target_": "os.system", "command": "false"})}
    save_file(dict(network.state_dict()), tmp_path / "h.safetensors", metadata=hostile)
    with pytest.raises(ImgrecError, match=r"os\.system"):
        load_safetensors(tmp_path / "h.safetensors")


def test_openvino_in_float32_and_in_8_bits(run, tmp_path):
    openvino = pytest.importorskip("openvino")
    from imgrec.deploy.predict.openvino_model import read_openvino_info

    run_verb("export", run / "best.ckpt", "--output", tmp_path / "m.xml", "--limit", "40")
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    logits = openvino.Core().compile_model(tmp_path / "m.xml", "CPU", options)([np.zeros((2, 32, 32, 3), np.uint8)])[0]
    assert logits.shape == (2, 10)
    assert read_openvino_info(tmp_path / "m.xml").class_names[:2] == ["0", "1"]
    pytest.importorskip("nncf")
    small = ("--int8", "--limit", "40", "--calibration-images", "8", "--max-drop", "10")
    run_verb("export", run / "best.ckpt", "--output", tmp_path / "s.xml", *small)
    assert (tmp_path / "s.bin").stat().st_size < 0.5 * (tmp_path / "m.bin").stat().st_size


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ((), ConfigError, "Name one checkpoint"),
        (("a.ckpt", "b.ckpt"), ConfigError, "Name one checkpoint"),
        (("a.ckpt", "--output", "model.bin"), ConfigError, r"the output ends in \.onnx"),
        (("a.ckpt", "--int8", "--float16"), ConfigError, "exclude each other"),
        (("a.ckpt", "--calibration", "x"), ConfigError, "calibration is for int8"),
        (("a.ckpt", "--int8", "--output", "m.pt2"), ConfigError, "Files for PyTorch are float32"),
        (("a.ckpt", "--max-drop", "-1"), ConfigError, "max_drop=-1"),
        (("a.ckpt", "--limit", "1"), ConfigError, "limit=1"),
        (("a.ckpt", "--bad"), ConfigError, "--help"),
        (("absent.ckpt",), ImgrecError, "absent.ckpt does not exist"),
    ],
)
def test_a_command_line_that_is_not_valid_is_explained(arguments, kind, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind, match=message):
        run_verb("export", *arguments)


def test_an_existing_file_needs_overwrite(run, model):
    with pytest.raises(DataError, match="--overwrite"):
        run_verb("export", run / "best.ckpt", "--output", model)


def test_an_override_that_the_data_does_not_have_is_explained(run, tmp_path):
    with pytest.raises(ConfigError, match=r"data\.rooot"):
        run_verb("export", run / "best.ckpt", "data.rooot=x", "--output", tmp_path / "m.onnx")


def test_an_untrained_checkpoint_is_refused(run, tmp_path):
    from imgrec.core.checkpoint.checkpoint import load_checkpoint, save_checkpoint

    payload = load_checkpoint(run / "best.ckpt")
    payload["state_dict"]["net.backbone.head.weight"].zero_()
    save_checkpoint(payload, tmp_path / "fresh.ckpt")
    with pytest.raises(ParityError, match="not trained"):
        run_verb("export", tmp_path / "fresh.ckpt", "--output", tmp_path / "m.onnx")
    assert not (tmp_path / "m.onnx").exists()


def test_help_is_there_without_torch():
    for parser in (make_parser(), benchmark_parser()):
        assert "examples:" in parser.format_help()


def test_models_are_measured_side_by_side(run, model, tmp_path):
    arguments = ("--rounds", "1", "--batch", "2", "--threads", "1", "--output", tmp_path / "b.json")
    done = run_verb("benchmark", model, run / "best.ckpt", *arguments)
    report = json.loads((tmp_path / "b.json").read_text())
    names = [row["name"] for row in report["models"]]
    assert names[0] == "best.ckpt: PyTorch float32"
    assert {"best.ckpt: PyTorch bfloat16", "model.onnx: onnxruntime float32"} <= set(names)
    first = report["models"][0]
    assert (first["latency_ratio"], first["throughput_ratio"]) == (1.0, 1.0)
    assert all(0 < row["latency_ms"]["median"] <= row["latency_ms"]["p95"] for row in report["models"])
    assert all(name in done.out for name in names)


@pytest.mark.guard  # the compiler takes its time
def test_a_checkpoint_is_measured_compiled_too(run, tmp_path):
    arguments = ("--compile", "--rounds", "1", "--batch", "2", "--threads", "1", "--output", tmp_path / "b.json")
    done = run_verb("benchmark", run / "best.ckpt", *arguments)
    names = [row["name"] for row in json.loads((tmp_path / "b.json").read_text())["models"]]
    kinds = ("float32", "bfloat16", "compiled float32", "compiled bfloat16")
    assert names == [f"best.ckpt: PyTorch {kind}" for kind in kinds]
    assert "Warming up best.ckpt: PyTorch compiled bfloat16" in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Name the models"),
        (("a.txt",), r"none of \.onnx"),
        (("a.onnx", "--rounds", "0"), "--rounds"),
        (("no.onnx",), "No file no.onnx"),
        (("no.xml",), "No file no.xml"),
        (("no.xml", "--threads", "0"), "--threads=0"),
    ],
)
def test_a_benchmark_that_cannot_run_is_explained(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ImgrecError, match=message):
        run_verb("benchmark", *arguments)
