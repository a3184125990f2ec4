"""A graph that takes an image of any size: what it makes of it is what `Preprocess` makes of it, bit for bit."""

from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper
from PIL import Image

from exported import PREPROCESS, bundle, graph, sample_images
from imgrec.data.images.preprocess import Preprocess
from imgrec.deploy.export import image_resample
from imgrec.deploy.export.image_stage import add_image_stage

SIZES = [(40, 40), (8, 200), (200, 8), (61, 37), (37, 61), (16, 16), (17, 16), (90, 31), (12, 13)]


def stage(preprocess: Preprocess) -> Any:
    """Return a function of images: the stage alone, in front of a graph that changes nothing."""
    pixels = helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", "H", "W", 3])
    same = helper.make_tensor_value_info("logits", TensorProto.UINT8, ["N", "h", "w", 3])
    nodes = [helper.make_node("Identity", ["images"], ["logits"])]
    opset = [helper.make_opsetid("", 18)]
    model = helper.make_model(helper.make_graph(nodes, "g", [pixels], [same]), opset_imports=opset, ir_version=10)
    add_image_stage(model, preprocess)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return lambda image: session.run(None, {"images": image})[0][0]


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("mode", ["crop", "squash", "letterbox"])
@pytest.mark.parametrize("size", [16, (24, 10)])
def test_an_image_of_any_size_comes_out_as_from_preprocess(mode, interpolation, size):
    preprocess = Preprocess(size=size, mode=mode, interpolation=interpolation)
    run = stage(preprocess)
    for height, width in SIZES:
        image = noise(height, width)
        assert np.array_equal(run(image), preprocess(image)), (height, width)


def test_the_share_before_the_crop_and_the_colour_of_the_padding_are_kept():
    for preprocess in (Preprocess(size=20, resize=20), Preprocess(size=20, mode="letterbox", fill=(9, 0, 255))):
        run = stage(preprocess)
        assert all(np.array_equal(run(noise(*size)), preprocess(noise(*size))) for size in SIZES)


def test_black_and_white_are_not_exceeded():
    """Bicubic and Lanczos overshoot at edges; Pillow cuts off at 0 and 255."""
    image = np.zeros((40, 40, 3), np.uint8)
    image[:, 20:] = 255
    for interpolation in ("bicubic", "lanczos"):
        preprocess = Preprocess(size=23, mode="squash", interpolation=interpolation)
        assert np.array_equal(stage(preprocess)(image), preprocess(image))


def test_a_pixel_made_of_many_may_differ_in_its_last_bit():
    """Beyond 32 pixels on an axis float32 sums are no longer exact."""
    preprocess = Preprocess(size=16, mode="squash")
    run = stage(preprocess)
    image = noise(1500, 1100)
    difference = np.abs(run(image).astype(int) - preprocess(image))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


@pytest.mark.parametrize(("size", "shapes"), [(16, [(16, 16)]), (None, [(9, 30), (30, 9)])])
def test_without_resizing_pixels_pass_as_they_are(size, shapes):
    run = stage(Preprocess(size=size, mode="none"))
    for shape in shapes:
        assert np.array_equal(run(noise(*shape)), noise(*shape))


def test_the_way_of_the_installed_pillow_is_gone():
    tall = Image.fromarray(noise(90, 20))
    two_passes = [
        tall.resize((20, 30), Image.Resampling.BILINEAR).resize((40, 30), Image.Resampling.BILINEAR),
        tall.resize((40, 90), Image.Resampling.BILINEAR).resize((40, 30), Image.Resampling.BILINEAR),
    ]
    once = tall.resize((40, 30), Image.Resampling.BILINEAR).tobytes()
    down_first = image_resample._pillow_may_go_down_first()
    assert once == two_passes[0 if down_first else 1].tobytes()


def test_for_a_pillow_that_always_goes_across_first_so_does_the_graph(monkeypatch):
    monkeypatch.setattr(image_resample, "_pillow_may_go_down_first", lambda: False)
    bilinear = Image.Resampling.BILINEAR
    image = noise(90, 20)
    across_first = Image.fromarray(image).resize((40, 90), bilinear).resize((40, 30), bilinear)
    assert np.array_equal(stage(Preprocess(size=(30, 40), mode="squash"))(image), np.array(across_first))


def test_both_forms_of_a_bundle_give_equal_logits():
    model = graph()
    add_image_stage(model, PREPROCESS)
    by_image, by_pixels = bundle(model, input="image"), bundle()
    images = [sample_images(count=2, size=size, seed=size).images[1] for size in (16, 24, 50)]
    assert np.abs(by_image.run(images) - by_pixels.run([PREPROCESS(image) for image in images])).max() < 1e-5
