"""From a network to a file under its final name, or to nothing: the gate, and what breaks it."""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from exported import CLASSES, PREPROCESS, SIZE, graph, info, network, sample_images
from imgrec.deploy.bundle import load_bundle
from imgrec.deploy.export import graph as graph_module
from imgrec.deploy.export import write
from imgrec.deploy.export.gate import report_path
from imgrec.deploy.export.graph import make_graph
from imgrec.deploy.export.layers import moved_layers
from imgrec.deploy.export.outputs import ImageSet, images_of_folder, logits_of_network, some_of
from imgrec.deploy.export.quantize import to_int8
from imgrec.deploy.export.write import Settings, export_bundle
from imgrec.errors import BundleError, DataError, MissingExtraError, ParityError, RunFolderError
from project import PROJECT


@pytest.fixture(autouse=True)
def made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the graph that the session has: torch takes seconds. The `make_graph` of this file is the real one."""
    monkeypatch.setattr(write, "make_graph", mock.Mock(side_effect=lambda *_, **__: graph()))


def exported(path: Path, *, net: Any = None, of: ImageSet | None = None, **settings: Any) -> dict[str, Any]:
    some = sample_images() if of is None else of
    chosen = Settings(**settings)
    return export_bundle(net or network(), info(), path, images=some, settings=chosen, say=mock.Mock())


def calibration() -> ImageSet:
    return sample_images(20, seed=5)


def test_an_export_that_agrees_is_written_with_its_report(tmp_path):
    path = tmp_path / "model.onnx"
    report = exported(path)
    assert {file.name for file in tmp_path.iterdir()} == {"model.onnx", "model.onnx.report.json"}
    assert report["passed"]
    assert report["parity"]["same_labels"] == report["parity"]["images"] == 30
    assert report["parity"]["max_probability_difference"] < 1e-5
    assert json.loads(report_path(path).read_text()) == report
    bundle = load_bundle(path)
    assert bundle.sha256 == report["sha256"]
    assert bundle.info.parity["parity"]["same_labels"] == 30


def test_names_of_images_are_not_in_the_bundle(tmp_path):
    named = replace(sample_images(), names=[f"patient-{i}" for i in range(30)])
    exported(tmp_path / "model.onnx", of=named)
    assert b"patient" not in (tmp_path / "model.onnx").read_bytes()


def test_the_graph_names_no_file_and_no_line_of_this_machine(tmp_path):
    exported(tmp_path / "model.onnx")
    data = (tmp_path / "model.onnx").read_bytes()
    assert str(PROJECT).encode() not in data
    assert b"forward" not in data


def change_bias(model: Any, shift: float) -> None:
    head = next(one for one in model.graph.initializer if one.name.endswith("head.bias"))
    values = onnx.numpy_helper.to_array(head) + np.array([shift, 0, 0], dtype=np.float32)
    head.CopyFrom(onnx.numpy_helper.from_array(values, head.name))


@pytest.mark.parametrize(
    ("shift", "message"), [(50.0, "20 of 30 predictions differ"), (-8.0, "identical predictions, prob")]
)
def test_a_graph_that_is_broken_leaves_nothing_under_the_final_name(tmp_path, monkeypatch, shift, message):
    broken = graph()
    change_bias(broken, shift)
    monkeypatch.setattr(write, "make_graph", mock.Mock(return_value=broken))
    path = tmp_path / "model.onnx"
    with pytest.raises(ParityError, match=message) as caught:
        exported(path)
    assert caught.value.exit_code == 1
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx.report.json"]
    assert json.loads(report_path(path).read_text())["passed"] is False


@pytest.mark.parametrize("change", [{"size": SIZE, "mode": "crop"}, {"interpolation": "nearest"}])
def test_another_preprocessing_in_the_bundle_than_in_validation_is_noticed(tmp_path, monkeypatch, change):
    other = replace(PREPROCESS, **change)
    real = write.logits_of_bundle
    monkeypatch.setattr(
        write, "logits_of_bundle", lambda bundle, *rest, **more: real(_with(bundle, other), *rest, **more)
    )
    with pytest.raises(ParityError, match="does not give the checkpoint's outputs"):
        exported(tmp_path / "model.onnx")


def _with(bundle: Any, preprocess: Any) -> Any:
    bundle.info = replace(bundle.info, preprocess=preprocess)
    return bundle


def test_a_network_that_mixes_the_images_of_a_batch_is_noticed(tmp_path, monkeypatch):
    real = write.logits_of_bundle

    def mixed(*arguments: Any, batch_size: int = 32, **options: Any) -> Any:
        logits = real(*arguments, batch_size=batch_size, **options)
        return -logits if batch_size == 1 else logits

    monkeypatch.setattr(write, "logits_of_bundle", mixed)
    path = tmp_path / "model.onnx"
    with pytest.raises(ParityError, match="an image alone differ from those in a batch"):
        exported(path)
    assert list(tmp_path.iterdir()) == [report_path(path)]
    report = json.loads(report_path(path).read_text())
    assert (report["passed"], report["parity"]["holds"], report["alone"]["holds"]) == (False, True, False)


class Constant(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(images), len(CLASSES))


def test_an_untrained_network_is_refused_by_that_name(tmp_path):
    with pytest.raises(ParityError, match="not trained"):
        exported(tmp_path / "model.onnx", net=Constant())
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_stays_when_the_gate_fails(tmp_path, monkeypatch):
    path = tmp_path / "model.onnx"
    exported(path)
    before = path.read_bytes()
    broken = graph()
    change_bias(broken, 50)
    monkeypatch.setattr(write, "make_graph", mock.Mock(return_value=broken))
    with pytest.raises(ParityError):
        exported(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("form", ["pixels", "image"])
def test_int8_is_smaller_and_its_drop_is_measured(tmp_path, form):
    report = exported(tmp_path / "model.onnx", precision="int8", input=form, calibration=calibration())
    assert report["drop"]["points"] <= 1
    assert report["drop"]["low"] <= report["drop"]["points"] <= report["drop"]["high"]
    assert report["max_drop"] == 1.0
    model = load_bundle(tmp_path / "model.onnx")
    assert (model.info.precision, model.info.input) == ("int8", form)


def test_int8_weights_are_a_quarter():
    small = to_int8(graph(), [PREPROCESS(image) for image in sample_images(20, seed=5).images])
    types = [node.op_type for node in small.graph.node]
    assert types.count("QuantizeLinear") >= 5
    assert {entry.domain for entry in small.opset_import} == {""}
    weights = [one for one in small.graph.initializer if one.name.endswith("weight_quantized")]
    assert {one.data_type for one in weights} == {onnx.TensorProto.INT8}
    assert len(weights) == 6  # every convolution and every dense layer


def test_expanding_the_constants_of_the_normalisation_changes_no_logit():
    small = to_int8(graph(), [PREPROCESS(image) for image in sample_images(20, seed=5).images])
    spread = {node.output[0]: node.input[0] for node in small.graph.node if node.op_type == "Expand"}
    assert len(spread) == 2  # the scale and the shift of the channels
    plain = onnx.ModelProto.FromString(small.SerializeToString())
    for node in plain.graph.node:
        node.input[:] = [spread.get(name, name) for name in node.input]
    images = np.stack([PREPROCESS(image) for image in sample_images(6, seed=6).images])
    logits = [
        onnxruntime.InferenceSession(one.SerializeToString(), providers=["CPUExecutionProvider"]).run(
            None, {"images": images}
        )[0]
        for one in (small, plain)
    ]
    np.testing.assert_array_equal(*logits)


def test_logits_of_int8_are_not_rounded_to_256_steps():
    small = to_int8(graph(), [PREPROCESS(image) for image in sample_images(20, seed=5).images])
    maker = next(node for node in small.graph.node if "logits" in node.output)
    assert maker.op_type == "Gemm"


@pytest.mark.parametrize("form", ["pixels", "image"])
def test_a_drop_above_the_limit_is_refused_with_the_layers_that_moved(tmp_path, monkeypatch, form):
    def ruined(whole: Any, calibration: Any) -> Any:
        small = to_int8(whole, calibration)
        change = next(one for one in small.graph.initializer if one.name.endswith("blocks.1.0.weight_quantized"))
        values = onnx.numpy_helper.to_array(change)
        change.CopyFrom(onnx.numpy_helper.from_array(-values, change.name))
        return small

    monkeypatch.setattr(write, "to_int8", ruined)
    path = tmp_path / "model.onnx"
    with pytest.raises(ParityError, match=r"drops by [\d.]+ points \(95 % .*\); --max-drop is 1\. Layers with the"):
        exported(path, precision="int8", input=form, calibration=calibration())
    assert not path.exists()
    layers = json.loads(report_path(path).read_text())["layers"]
    assert len(layers) == 5
    assert layers == sorted(layers, key=lambda layer: layer["sqnr_db"])


def test_the_layer_that_was_broken_is_the_first_that_moved():
    broken = graph()
    weight = next(one for one in broken.graph.initializer if one.name.endswith("blocks.1.3.weight"))
    values = onnx.numpy_helper.to_array(weight)
    weight.CopyFrom(onnx.numpy_helper.from_array(-values, weight.name))
    images = [PREPROCESS(image) for image in sample_images(4).images]
    order = {name: place for place, node in enumerate(graph().graph.node) for name in node.output}
    moved = [layer for layer in moved_layers(graph(), broken, images, count=99) if layer.max_difference > 0]
    first = min(moved, key=lambda layer: order[layer.name])
    assert "blocks.1.3.weight" in next(n for n in graph().graph.node if first.name in n.output).input[1]


def test_float16_halves_the_weights_and_takes_the_same_pixels(tmp_path):
    report = exported(tmp_path / "model.onnx", precision="float16")
    assert report["parity"]["max_probability_difference"] < 0.05
    model = load_bundle(tmp_path / "model.onnx")
    assert model.run(np.zeros((2, SIZE, SIZE, 3), np.uint8)).dtype == np.float32
    types = {one.data_type for one in onnx.load(tmp_path / "model.onnx").graph.initializer}
    assert onnx.TensorProto.FLOAT16 in types


def test_without_an_image_there_is_no_calibration():
    with pytest.raises(BundleError, match="--calibration FOLDER"):
        to_int8(graph(), [])


def test_exporting_twice_gives_equal_bytes():
    one, two = (make_graph(network(), height=SIZE, width=SIZE).SerializeToString(deterministic=True) for _ in range(2))
    assert one == two


def test_a_network_that_cannot_be_exported_is_reported():
    class Asks(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.float().mean((2, 3)) if images.sum() > 5 else images.float().amax((2, 3))

    with pytest.raises(BundleError, match="cannot be exported to ONNX"):
        make_graph(Asks(), height=SIZE, width=SIZE)


def test_a_network_too_large_for_one_file_is_sent_elsewhere(monkeypatch):
    monkeypatch.setattr(graph_module, "MAX_BYTES", 100)
    program = mock.Mock(model_proto=graph())
    monkeypatch.setattr(torch.onnx, "export", mock.Mock(return_value=program))
    with pytest.raises(BundleError, match=r"model\.safetensors"):
        make_graph(network(), height=SIZE, width=SIZE)


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(MissingExtraError, match=r"onnxscript is not installed.*imgrec\[export\]"):
        make_graph(network(), height=SIZE, width=SIZE)


def test_a_full_disk_leaves_what_was_there(tmp_path):
    path = tmp_path / "model.onnx"
    exported(path)
    before = path.read_bytes()
    with (
        mock.patch("imgrec.core.files.atomic_write._free_bytes", return_value=10),
        pytest.raises(RunFolderError, match="free"),
    ):
        exported(path)
    assert path.read_bytes() == before


def test_some_images_are_spread_over_all():
    chosen = some_of(_samples(), 4)
    assert list(chosen.names) == ["0.png", "10.png", "19.png", "29.png"]
    assert len(some_of(_samples(), 1000)) == 30


def _samples() -> Any:
    from imgrec.data.samples import Samples

    some = sample_images()
    return Samples(some.names, some.images, some.labels)


def test_images_of_a_folder_are_found_below_it_and_have_no_labels(tmp_path):
    from PIL import Image

    (tmp_path / "a" / "b").mkdir(parents=True)
    for name in ("a/1.png", "a/b/2.jpg"):
        Image.new("RGB", (20, 20)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    found = images_of_folder(tmp_path, limit=10)
    assert [Path(name).name for name in found.names] == ["1.png", "2.jpg"]
    assert found.labels is None
    (tmp_path / "empty").mkdir()
    for folder, message in ((tmp_path / "empty", "no images"), (tmp_path / "none", "not a folder")):
        with pytest.raises(DataError, match=message):
            images_of_folder(folder, limit=10)


def test_the_checkpoints_side_is_validation_s_own_path():
    """The same numbers as the loaders, Lightning and evaluate give: see tests/test_export_command.py."""
    some = sample_images(5)
    images = torch.from_numpy(np.stack([PREPROCESS(image) for image in some.images])).permute(0, 3, 1, 2)
    with torch.inference_mode():
        expected = network()(images).numpy()
    assert np.allclose(logits_of_network(network(), PREPROCESS, some), expected, atol=1e-6)


def test_no_network_is_needed(tmp_path, monkeypatch):
    monkeypatch.setattr(socket.socket, "connect", mock.Mock(side_effect=AssertionError("a connection was made")))
    exported(tmp_path / "model.onnx", precision="int8", calibration=calibration())
    load_bundle(tmp_path / "model.onnx")


# Imports and trains once; each line it reads starts a process that does nothing but export, until it is killed.
KILLED = """
import os, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from exported import graph, info, network, sample_images
from imgrec.deploy.export import write
write.make_graph = lambda *arguments, **options: graph()
graph()
for _ in sys.stdin:
    if child := os.fork():
        os.waitpid(child, 0)
        print("ended", flush=True)
        continue
    print(os.getpid(), flush=True)
    while True:
        write.export_bundle(network(), info(), Path({path!r}), images=sample_images(), settings=write.Settings(),
                            say=lambda text: None)
        print("done", flush=True)
"""


@pytest.mark.guard
def test_a_kill_at_any_moment_leaves_a_whole_file_or_none(tmp_path):
    path = tmp_path / "model.onnx"
    program = textwrap.dedent(KILLED.format(tests=str(PROJECT / "tests" / "support"), path=str(path)))
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    random = np.random.default_rng(0)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", program], env=environment, **pipes) as starter:
        assert starter.stdin is not None and starter.stdout is not None
        for attempt in range(6):
            print("go", file=starter.stdin, flush=True)
            child = int(starter.stdout.readline())
            if attempt == 1:  # from here on there is a file to lose
                assert starter.stdout.readline() == "done\n"
            time.sleep(float(random.uniform(0, 0.5)))
            os.kill(child, signal.SIGKILL)
            while starter.stdout.readline() != "ended\n":
                pass
            assert path.exists() or attempt == 0
            if path.exists():
                load_bundle(path)
        starter.stdin.close()
