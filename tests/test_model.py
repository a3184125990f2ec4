"""`imgrec.load`: one model, images of every kind in, predictions out."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import imgrec
from imgrec.errors import ConfigError, DataError, ImageError
from imgrec.model import Model
from project import PROJECT

BEFORE = PROJECT / "tests" / "fixtures" / "before_layout"
IMAGE = BEFORE / "images" / "red" / "red_0.png"


@pytest.fixture(scope="module", params=["model.onnx", "best.ckpt"])
def model(request: pytest.FixtureRequest) -> Model:
    return imgrec.load(BEFORE / request.param)


@pytest.fixture(scope="module")
def checkpoint() -> Model:
    return imgrec.load(BEFORE / "best.ckpt")


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(mode: str, size: tuple[int, int] = (40, 20)) -> Image.Image:
    pixels = np.random.default_rng(3).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    if mode == "I;16":
        return Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    return Image.fromarray(pixels).convert(mode)


# One image


def test_a_path_bytes_a_pil_image_and_an_array_give_the_same_prediction(model: Model):
    expected = model.predict(IMAGE)
    array = np.asarray(Image.open(IMAGE).convert("RGB"))
    for image in (str(IMAGE), IMAGE.read_bytes(), Image.open(IMAGE), array):
        assert model.predict(image).probabilities == expected.probabilities
    assert expected.path == str(IMAGE)
    assert expected.top(1) == [(expected.prediction, expected.confidence)]


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "LA", "1", "I;16", "CMYK"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_a_pil_image_is_converted_and_turned_upright_as_its_file_is(model: Model, mode: str, kind: str):
    if (mode, kind) == ("CMYK", "PNG"):
        pytest.skip("PNG knows no CMYK")
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(noise(mode), kind, exif=exif)
    assert model.predict(Image.open(io.BytesIO(data))).probabilities == model.predict(data).probabilities


@pytest.mark.parametrize(
    ("image", "code"),
    [
        ("nowhere.png", "unreadable"),
        (b"", "not_an_image"),
        (b"no image at all", "not_an_image"),
        (IMAGE.read_bytes()[:60], "truncated"),
        (np.zeros((8, 8, 3)), "wrong_type"),
        (np.zeros((8, 8, 4), np.uint8), "wrong_type"),
        (np.zeros((8, 8), np.uint8), "wrong_type"),
        (np.zeros((3, 8, 8), np.uint8), "wrong_type"),
        (np.zeros((2, 8, 8, 4), np.uint8), "wrong_type"),
        (np.zeros((1, 1, 3), np.uint8), "too_small"),
        (np.zeros((0, 5, 3), np.uint8), "too_small"),
        (Image.new("RGB", (5, 5)), "too_small"),
    ],
)
def test_one_image_that_cannot_be_read_raises(model: Model, image: Any, code: str):
    with pytest.raises(ImageError) as caught:
        model.predict(image)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (3, "type int is neither an image nor a list of images"),
        (None, "type NoneType is neither"),
        (io.BytesIO(b"x"), r"Give its bytes: file\.read\(\)"),
        ({"a": IMAGE}, "Give its values"),
        ("", "'' is an empty path"),
    ],
)
def test_what_is_no_image_is_refused(model: Model, image: Any, message: str):
    with pytest.raises(DataError, match=message):
        model.predict(image)


def test_a_tensor_is_refused_with_how_to_convert_it(checkpoint: Model):
    import torch

    with pytest.raises(DataError, match=r"permute\(1, 2, 0\)"):
        checkpoint.predict(torch.zeros(3, 16, 16))


@pytest.mark.parametrize(
    ("shape", "dtype", "remedy"),
    [((8, 8, 3), float, r"\* 255"), ((8, 8), np.uint8, "Gray"), ((3, 8, 8), np.uint8, "Channels first")],
)
def test_an_array_of_another_form_is_refused_with_how_to_convert_it(model: Model, shape: Any, dtype: Any, remedy: str):
    with pytest.raises(ImageError, match=remedy):
        model.predict(np.zeros(shape, dtype))


# Many images


def test_a_folder_a_pattern_a_list_a_stack_and_a_generator_give_the_same(model: Model):
    files = sorted(str(path) for path in (BEFORE / "images").rglob("*.png"))
    expected = {name: model.predict(name).prediction for name in files}
    stack = np.stack([np.asarray(Image.open(name).convert("RGB")) for name in files])
    generator = model.predict(name for name in files)
    assert not isinstance(generator, list)
    for found in (model.predict(str(BEFORE / "images")), model.predict(str(BEFORE / "images/*/*.png")), generator):
        assert {one.path: one.prediction for one in found} == expected
    for found in (model.predict(files, batch_size=5), model.predict(stack)):
        assert [one.prediction for one in found] == list(expected.values())
    assert model.predict([]) == []


def test_among_many_a_broken_image_carries_its_error_and_the_others_their_predictions(model: Model):
    good, bad, absent, other = model.predict([IMAGE, b"nonsense", "nowhere.png", 3])
    assert good == model.predict(IMAGE)
    assert (bad.prediction, bad.error) == (None, "not_an_image")
    assert (absent.path, absent.error) == ("nowhere.png", "unreadable")
    assert other.error == "wrong_type"
    assert bad.detail
    assert "confidence" not in bad.to_dict()


def test_a_generator_is_read_as_its_predictions_are_taken(model: Model):
    taken = []

    def images() -> Any:
        for number in range(1000):
            taken.append(number)
            yield IMAGE

    predictions = model.predict(images(), batch_size=4)
    next(predictions)
    assert len(taken) < 100


def test_a_folder_without_images_is_refused(model: Model, tmp_path: Path):
    with pytest.raises(DataError, match="no images there"):
        model.predict(tmp_path)
    with pytest.raises(DataError, match="no images there"):
        model.predict(str(tmp_path / "*.png"))


def test_top_k_limits_the_probabilities(model: Model):
    full, two = model.predict(IMAGE), model.predict(IMAGE, top_k=2)
    assert list(two.probabilities.items()) == full.top(2)
    for number in (0, -1):
        with pytest.raises(ConfigError, match=f"top_k={number}"):
            model.predict(IMAGE, top_k=number)


# Features, explanations, export


def test_features_are_what_enters_the_head(checkpoint: Model):
    import torch

    features = checkpoint.embed([IMAGE, IMAGE.read_bytes()])
    assert features.shape[0] == 2
    assert features.dtype == np.float32
    assert np.array_equal(features[0], features[1])
    head = [layer for layer in checkpoint._runnable.network.modules() if isinstance(layer, torch.nn.Linear)][-1]  # type: ignore[attr-defined]
    with torch.inference_mode():
        logits = head(torch.from_numpy(features[:1])).numpy()
    probabilities = checkpoint.decisions.probabilities(logits)[0]
    expected = checkpoint.predict(IMAGE).probabilities
    assert dict(zip(checkpoint.class_names, probabilities, strict=True)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("method", ["gradcam", "integrated_gradients", "occlusion"])
def test_a_saliency_map_has_the_size_of_the_input_and_a_verdict(checkpoint: Model, method: str):
    explanation = checkpoint.explain(IMAGE, method=method)
    assert explanation.map.shape == explanation.image.shape[:2] == (16, 16)
    assert explanation.verdict in ("trustworthy", "weak", "bad")
    assert explanation.target == explanation.prediction == checkpoint.predict(IMAGE).prediction
    assert explanation._repr_png_().startswith(b"\x89PNG")


def test_a_target_and_a_method_are_checked(checkpoint: Model):
    assert checkpoint.explain(IMAGE, method="occlusion", target="green").target == "green"
    with pytest.raises(ConfigError, match="gradcam"):
        checkpoint.explain(IMAGE, method="gradcamm")
    with pytest.raises(ConfigError, match="green"):
        checkpoint.explain(IMAGE, target="gren")
    with pytest.raises(DataError, match="one image"):
        checkpoint.explain([IMAGE, IMAGE])


def test_a_bundle_says_what_needs_the_checkpoint():
    bundle = imgrec.load(BEFORE / "model.onnx")
    with pytest.raises(ConfigError, match="embed needs"):
        bundle.embed(IMAGE)
    with pytest.raises(ConfigError, match="explain needs"):
        bundle.explain(IMAGE)
    with pytest.raises(ConfigError, match="Export from the checkpoint"):
        bundle.export("again.onnx")


# What is loaded


def test_a_run_folder_is_its_best_checkpoint():
    assert imgrec.load(BEFORE / "run").predict(IMAGE) == imgrec.load(BEFORE / "best.ckpt").predict(IMAGE)


def test_a_model_shows_itself(model: Model):
    assert "blue, green, red" in repr(model)
    assert "<table>" in model._repr_html_()
    assert model.task == "single"
    assert model.preprocess.height_width == (16, 16)


@pytest.mark.parametrize("path", ["nowhere.onnx", ".", "", None, 3, b"model.onnx"])
def test_what_is_no_model_is_refused(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"best\.ckpt|named by a path"):
        imgrec.load(path)  # type: ignore[arg-type]


def test_a_network_for_the_weights_is_an_instance():
    import torch

    for network in (torch.nn.Linear, "MyNet"):
        with pytest.raises(ConfigError, match="model is a network"):
            imgrec.load(BEFORE / "best.ckpt", model=network)  # type: ignore[arg-type]


def test_embedding_nothing_is_refused(checkpoint: Model):
    with pytest.raises(DataError, match="No images"):
        checkpoint.embed([])
    with pytest.raises(ConfigError, match="batch_size=0"):
        checkpoint.embed(IMAGE, batch_size=0)
