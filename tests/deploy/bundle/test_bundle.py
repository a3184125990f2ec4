"""The file that ships: what it gives, and what is refused before anything in it is run."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from exported import CLASSES, PREPROCESS, SIZE, bundle, bundle_bytes, info, network, sample_images, write_bundle
from imgrec.data.images.lazy_image import DecodedImage
from imgrec.data.images.preprocess import Preprocess
from imgrec.deploy.bundle import BundleInfo, bundle_from_bytes, load_bundle
from imgrec.deploy.bundle.document import DOCUMENT_KEY
from imgrec.deploy.bundle.seal import DIGEST_KEY, metadata_entry, seal
from imgrec.errors import BundleError, DataError
from imgrec.evaluation.decisions import Decisions
from project import PROJECT


def noise(count: int = 5) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)


def test_a_bundle_has_its_description_and_the_logits_of_its_network(tmp_path):
    model = load_bundle(write_bundle(tmp_path), threads=1)
    with torch.inference_mode():
        expected = network()(torch.from_numpy(noise()).permute(0, 3, 1, 2)).numpy()
    assert np.abs(model.run(noise()) - expected).max() < 1e-5
    assert model.run(noise()).dtype == np.float32
    assert (tuple(model.class_names), model.task, model.preprocess) == (CLASSES, "single", PREPROCESS)
    assert len(model.sha256) == 64


def test_a_batch_of_one_is_a_batch_of_many_and_none_is_none():
    model = bundle()
    whole = model.run(noise())
    assert np.abs(np.concatenate([model.run([image]) for image in noise()]) - whole).max() < 1e-5
    assert model.run([]).shape == (0, len(CLASSES))


def test_an_image_is_preprocessed_by_the_description():
    image = sample_images().images[0]
    assert np.array_equal(bundle().prepare(DecodedImage(image)), PREPROCESS(image))


def test_probabilities_are_at_the_temperature_of_the_decisions():
    decisions = replace(Decisions("single", CLASSES), temperature=2.0)
    logits = np.array([[2.0, 0.0, 0.0]], dtype=np.float32)
    expected = np.exp([1.0, 0.0, 0.0]) / np.exp([1.0, 0.0, 0.0]).sum()
    assert np.allclose(bundle(decisions=decisions).decisions.probabilities(logits)[0], expected)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, SIZE, SIZE, 3), np.float32), "uint8"),
        (np.zeros((2, SIZE, SIZE), np.uint8), "uint8"),
        (np.zeros((2, SIZE, SIZE, 4), np.uint8), "uint8"),
        (np.zeros((2, SIZE, SIZE + 1, 3), np.uint8), r"\(16, 16\)"),
        ([np.zeros((9, 9, 3), np.uint8), np.zeros((8, 8, 3), np.uint8)], "several sizes"),
    ],
)
def test_images_of_another_kind_are_refused(images, message):
    with pytest.raises(DataError, match=message):
        bundle().run(images)


def test_equal_contents_are_equal_bytes_and_other_contents_are_not():
    assert bundle_bytes() == bundle_bytes()
    assert bundle().sha256 != bundle(training={"seed": 2}).sha256


def test_the_description_comes_back_as_it_was_written():
    written = info(mean=[0.1, 0.2, 0.3], std=[1.0, 1.0, 1.0], training={"näme": "Ünï"}, precision="int8")
    assert BundleInfo.from_json(written.to_json().decode()) == written


def test_other_readers_of_onnx_take_the_file(tmp_path):
    import onnx

    path = write_bundle(tmp_path)
    onnx.checker.check_model(str(path))
    entries = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert json.loads(entries[DOCUMENT_KEY])["class_names"] == list(CLASSES)
    assert entries[DIGEST_KEY] == load_bundle(path).sha256


TRAINING_SIDE = {"torch", "torchvision", "torchmetrics", "pytorch_lightning", "lightning_fabric", "hydra", "omegaconf"}
TRAINING_SIDE |= {"albumentations", "pandas", "scipy", "sklearn", "matplotlib", "onnx", "pyarrow"}


def test_reading_and_running_imports_nothing_of_the_training_side(tmp_path):
    from PIL import Image

    Image.fromarray(sample_images().images[0]).save(tmp_path / "one.jpg")
    program = f"""
import sys
from pathlib import Path
from imgrec.deploy.bundle import load_bundle
from imgrec.data.images.lazy_image import image_from_bytes
model = load_bundle({str(write_bundle(tmp_path))!r})
image = image_from_bytes(Path({str(tmp_path / "one.jpg")!r}).read_bytes(), name="one.jpg")
logits = model.run([model.prepare(image)])
assert model.decisions.decide(logits).predictions.shape == (1,)
print(*{{name.partition('.')[0] for name in sys.modules}})
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=PROJECT)
    assert set(done.stdout.split()) & TRAINING_SIDE == set()
    assert "onnxruntime" in done.stdout.split()


# Files that are not bundles


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"PK\x03\x04" + bytes(100), "checkpoint"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not an ONNX file"),
        (b"<html>" + bytes(100), "not an ONNX file"),
        (b"\x08", "does not end with a SHA-256"),
        (b"\x08\x08" * 300, "does not end with a SHA-256"),
    ],
)
def test_a_file_that_is_not_a_bundle_is_named(data, message):
    with pytest.raises(BundleError, match=rf"^model\.onnx is not a bundle that can be used: .*{message}"):
        bundle_from_bytes(data, name="model.onnx")


def test_a_file_cut_anywhere_is_refused():
    data = bundle_bytes()
    for length in np.linspace(1, len(data) - 1, 60).astype(int):
        with pytest.raises(BundleError):
            bundle_from_bytes(data[:length], name="cut")


def test_a_flipped_bit_anywhere_is_refused():
    data = bundle_bytes()
    for place in np.linspace(0, len(data) - 1, 120).astype(int):
        changed = bytearray(data)
        changed[place] ^= 1 << int(place) % 8
        with pytest.raises(BundleError, match=r"changed|not an ONNX|SHA-256"):
            bundle_from_bytes(bytes(changed), name="flipped")


def test_bytes_behind_the_end_are_refused():
    with pytest.raises(BundleError, match="does not end with a SHA-256"):
        bundle_from_bytes(bundle_bytes() + b"\x2a\x00", name="long")


@pytest.mark.parametrize("kind", ["absent", "folder", "pipe", "null"])
def test_a_path_that_is_no_file_is_named(tmp_path, kind):
    path = tmp_path / ("a\0b" if kind == "null" else kind)
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(BundleError, match=r"not a file|cannot be read"):
        load_bundle(path)


def with_document(content: object) -> bytes:
    import exported

    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return seal(exported.graph_bytes() + metadata_entry(DOCUMENT_KEY, text))


def document(**changes: object) -> dict[str, object]:
    content = json.loads(info().to_json()) | changes
    return {key: value for key, value in content.items() if value is not ...}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"format": NaN}', "not JSON"),
        ([], "no format"),
        (document(format=...), "no format"),
        (document(format=True), "no format"),
        (document(format=2), "Update imgrec"),
        (document(format=99, graph="other"), "Update imgrec"),
        (document(_target_="os.system"), "unknown parts: _target_"),
        (document(class_names=[]), "class_names"),
        (document(class_names=["a", "a", "b"]), "class_names"),
        (document(class_names="abc"), "class_names"),
        (document(class_names=["x", "y", "z"]), "decisions are for other classes"),
        (document(task="detection"), "task"),
        (document(input="tensor"), "input"),
        (document(precision="int2"), "precision"),
        (document(mean=[0, 0]), "mean"),
        (document(std="0"), "std"),
        (document(training=[]), "training"),
        (document(decisions=None), "decisions"),
        (document(decisions={"_target_": "os.system"}), "decisions"),
        (document(preprocess={"size": 16, "_target_": "os.system"}), "no key '_target_'"),
        (document(preprocess={"size": "${oc.env:HOME}"}), "preprocess.size"),
        (document(preprocess={"size": 10**9}), "preprocess.size"),
        (document(preprocess={}), "size is missing"),
        (document(preprocess=...), "preprocess"),
    ],
)
def test_a_description_that_is_not_valid_is_refused(content, message):
    with pytest.raises(BundleError, match=message):
        bundle_from_bytes(with_document(content), name="model.onnx")


def test_a_description_of_a_newer_format_is_named_before_its_graph_is_looked_at():
    body = b"\x08\x0a" + b"\xa2\x01\x00"  # training_info, which no bundle of today has
    data = seal(body + metadata_entry(DOCUMENT_KEY, json.dumps(document(format=2)).encode()))
    with pytest.raises(BundleError, match="Update imgrec"):
        bundle_from_bytes(data, name="model.onnx")


def test_a_graph_that_does_not_match_its_description_is_refused():
    more = Decisions("single", (*CLASSES, "more"))
    data = with_document(document(class_names=[*CLASSES, "more"], decisions=more.to_dict()))
    with pytest.raises(BundleError, match="4 classes"):
        bundle_from_bytes(data, name="model.onnx")
    with pytest.raises(BundleError, match=r"image, \(16, 16\) px, 3 classes"):
        bundle_from_bytes(bundle_bytes(input="image"), name="model.onnx")


@pytest.mark.parametrize("height_width", [20, (16, 17), 20_000])
def test_a_graph_of_another_size_than_its_preprocessing_makes_is_refused(height_width):
    with pytest.raises(BundleError, match="does not match its description"):
        bundle(preprocess=Preprocess(size=height_width, mode="squash"))


def test_metadata_of_others_are_refused():
    import exported

    data = seal(exported.graph_bytes() + metadata_entry("other", b"1") + metadata_entry(DOCUMENT_KEY, info().to_json()))
    with pytest.raises(BundleError, match="metadata"):
        bundle_from_bytes(data, name="model.onnx")
    twice = metadata_entry(DOCUMENT_KEY, info().to_json()) * 2
    with pytest.raises(BundleError, match="duplicate metadata"):
        bundle_from_bytes(seal(exported.graph_bytes() + twice), name="model.onnx")


def test_a_batch_that_memory_cannot_hold_is_a_memory_error(tmp_path):
    code = """
import resource, sys
import numpy as np
from imgrec.deploy.bundle import load_bundle
model = load_bundle(sys.argv[1], threads=1)
images = np.zeros((64, *model.preprocess.height_width, 3), dtype=np.uint8)
model.run(images[:1])
images = np.concatenate([images] * 200)
with open("/proc/self/statm") as file:
    limit = int(file.read().split()[0]) * resource.getpagesize() + 2 * images.nbytes + 1_000_000
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    model.run(images)
except MemoryError as error:
    print("caught", error)
"""
    command = [sys.executable, "-c", code, str(write_bundle(tmp_path))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout.startswith("caught"), done.stderr


def test_the_single_threaded_copy_gives_the_same_logits(tmp_path):
    model = load_bundle(write_bundle(tmp_path), threads=2, concurrent=True)
    images = np.random.default_rng(0).integers(0, 256, (3, *model.preprocess.height_width, 3), dtype=np.uint8)
    np.testing.assert_allclose(model.run(images, single_thread=True), model.run(images), rtol=1e-5, atol=1e-5)
    assert model._single.get_session_options().intra_op_num_threads == 1
    assert model._session.get_session_options().intra_op_num_threads == 2


@pytest.mark.parametrize("spins", [True, False])
def test_waiting_threads_spin_if_asked(tmp_path, spins):
    model = load_bundle(write_bundle(tmp_path), threads=2, spins=spins)

    options = model._session.get_session_options()
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == str(int(spins))
