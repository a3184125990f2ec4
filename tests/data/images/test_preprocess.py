"""Preprocess: equal to torchvision where both do the same, plain numbers outside, clear about wrong ones."""

import json
import pickle
from io import BytesIO
from pathlib import Path
from typing import Any, get_args
from unittest.mock import MagicMock

import numpy as np
import pytest
from hydra.utils import instantiate
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from PIL import Image

import imgrec.data.images.preprocess
from imgrec.data import Preprocess
from imgrec.data.images.lazy_image import DecodedImage, image_from_bytes
from imgrec.data.images.preprocess import Interpolation, Mode
from imgrec.data.samples import UInt8Array
from imgrec.errors import ConfigError, DataError

CONF = Path(__file__).resolve().parents[3] / "conf" / "preprocess"


def sample_image(height: int, width: int, seed: int = 0) -> UInt8Array:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def torchvision_crop(image: UInt8Array, *, resize: int, size: tuple[int, int], interpolation: str) -> UInt8Array:
    from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

    transform = Compose([Resize(resize, InterpolationMode(interpolation)), CenterCrop(size)])
    return np.asarray(transform(Image.fromarray(image)))


# Crop


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    size=st.integers(1, 48),
    margin=st.integers(0, 20),
    interpolation=st.sampled_from(["nearest", "bilinear", "bicubic", "lanczos"]),
)
def test_crop_equals_torchvision(height: int, width: int, size: int, margin: int, interpolation: Interpolation) -> None:
    image = sample_image(height, width)
    ours = Preprocess(size, resize=size + margin, interpolation=interpolation)(image)
    theirs = torchvision_crop(image, resize=size + margin, size=(size, size), interpolation=interpolation)
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("height", "width"), [(375, 500), (500, 375), (333, 500), (1080, 1920), (224, 224), (256, 999)]
)
def test_crop_equals_torchvision_at_the_sizes_of_photographs(height: int, width: int) -> None:
    image = sample_image(height, width)
    theirs = torchvision_crop(image, resize=256, size=(224, 224), interpolation="bilinear")
    assert np.array_equal(Preprocess(224)(image), theirs)


def test_resize_is_size_over_0_875_unless_given() -> None:
    image = sample_image(100, 130)
    for size, resize in ((224, 256), (32, 37), (28, 32)):
        assert np.array_equal(Preprocess(size)(image), Preprocess(size, resize=resize)(image))


def test_a_crop_that_is_not_square_is_covered_in_both_directions() -> None:
    for height, width in ((50, 50), (20, 200), (200, 20)):
        assert Preprocess((40, 90))(sample_image(height, width)).shape == (40, 90, 3)
    centre_dot = np.zeros((101, 101, 3), dtype=np.uint8)
    centre_dot[40:61, 40:61] = 255
    result = Preprocess((40, 90), resize=40)(centre_dot)
    assert np.array_equal(result, result[::-1])
    assert np.array_equal(result, result[:, ::-1])


def test_a_thin_strip_is_cropped_without_resizing_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    resize = MagicMock(side_effect=Image.Image.resize)
    monkeypatch.setattr(Image.Image, "resize", lambda self, *args, **options: resize(self, *args, **options))
    assert Preprocess(224)(sample_image(1, 20_000)).shape == (224, 224, 3)
    assert [call.args[1] for call in resize.call_args_list] == [(224, 224)]  # and not 5,120,000 x 256
    image = np.asarray(Image.fromarray(sample_image(6, 40)).resize((400, 60)))
    whole = Preprocess(32)(image)
    monkeypatch.setattr(imgrec.data.images.preprocess, "_MAX_RESIZED_PX", 0)
    assert np.abs(Preprocess(32)(image).astype(int) - whole).max() <= 1


# Squash, letterbox, none


@pytest.mark.parametrize("mode", ["crop", "squash", "letterbox"])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 300), (300, 1), (64, 48)])
def test_every_size_becomes_the_one_asked_for(mode: Mode, height: int, width: int) -> None:
    result = Preprocess((48, 64), mode=mode)(sample_image(height, width))
    assert result.shape == (48, 64, 3)
    assert result.dtype == np.uint8


def test_squash_equals_pillow() -> None:
    image = sample_image(50, 70)
    expected = np.asarray(Image.fromarray(image).resize((32, 24), Image.Resampling.BICUBIC))
    assert np.array_equal(Preprocess((24, 32), mode="squash", interpolation="bicubic")(image), expected)


def test_letterbox_keeps_the_aspect_and_pads_evenly() -> None:
    image = np.full((50, 100, 3), 200, dtype=np.uint8)
    result = Preprocess(40, mode="letterbox", fill=(1, 2, 3))(image)
    assert np.array_equal(result[10:30], np.full((20, 40, 3), 200))
    assert np.array_equal(np.unique(result[[*range(10), *range(30, 40)]].reshape(-1, 3), axis=0), [[1, 2, 3]])


def test_a_single_fill_value_is_gray() -> None:
    result = Preprocess(4, mode="letterbox", fill=7)(np.zeros((1, 2, 3), dtype=np.uint8))
    assert result[0, 0].tolist() == [7, 7, 7]


def test_none_leaves_images_of_any_size_alone() -> None:
    image = sample_image(5, 9)
    assert Preprocess(None, mode="none")(image) is image


def test_none_with_a_size_refuses_another_one() -> None:
    keep = Preprocess((5, 9), mode="none")
    assert keep(sample_image(5, 9)).shape == (5, 9, 3)
    with pytest.raises(DataError, match=r"9x5 px .* preprocess.size is 5x9 .* Set preprocess=crop"):
        keep(sample_image(9, 5))


@pytest.mark.parametrize("mode", ["crop", "squash", "letterbox"])
def test_an_image_of_the_right_size_passes_unchanged(mode: Mode) -> None:
    image = sample_image(32, 32)
    preprocess = Preprocess(32, mode=mode, resize=32 if mode == "crop" else None)
    assert np.array_equal(preprocess(image), image)


@pytest.mark.parametrize("mode", ["crop", "squash", "letterbox"])
def test_the_result_can_be_written_to_and_is_not_the_input(mode: Mode) -> None:
    image = sample_image(32, 32)
    Preprocess(32, mode=mode, resize=32 if mode == "crop" else None)(image)[:] = 0
    assert image.any()


# Plain numbers


@pytest.mark.parametrize(
    "preprocess",
    [
        Preprocess(224),
        Preprocess((48, 64), mode="letterbox", fill=0, interpolation="lanczos"),
        Preprocess(32, resize=40, interpolation="bicubic"),
        Preprocess(None, mode="none"),
    ],
)
def test_json_and_back_is_the_same(preprocess: Preprocess) -> None:
    assert Preprocess.from_dict(json.loads(json.dumps(preprocess.to_dict()))) == preprocess
    assert pickle.loads(pickle.dumps(preprocess)) == preprocess
    assert hash(preprocess) is not None


def test_to_dict_writes_every_key() -> None:
    assert Preprocess(224).to_dict() == {
        "size": 224,
        "mode": "crop",
        "resize": None,
        "interpolation": "bilinear",
        "fill": [124, 116, 104],
        "decode": "full",
    }


def test_height_width_is_one_form_of_the_size() -> None:
    assert Preprocess(224).height_width == (224, 224)
    assert Preprocess((10, 20)).height_width == (10, 20)
    assert Preprocess(None, mode="none").height_width is None


def test_lists_of_hydra_become_tuples() -> None:
    config = OmegaConf.create({"size": [10, 20], "mode": "letterbox", "fill": [1, 2, 3]})
    preprocess = Preprocess(**config)
    assert type(preprocess.size) is tuple
    assert preprocess == Preprocess((10, 20), mode="letterbox", fill=(1, 2, 3))


@pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda path: path.stem)
def test_presets_build(path: Path) -> None:
    assert isinstance(instantiate(OmegaConf.load(path)), Preprocess)


@pytest.mark.parametrize("mode", get_args(Mode))
def test_there_is_a_preset_of_its_name_for_each_mode(mode: Mode) -> None:
    assert instantiate(OmegaConf.load(CONF / f"{mode}.yaml")).mode == mode


# Wrong values


def test_an_unknown_key_is_named_with_near_ones() -> None:
    with pytest.raises(ConfigError, match=r"no key 'interpolate'.* Did you mean 'interpolation'\?.* size, mode"):
        Preprocess.from_dict({"size": 224, "interpolate": "bilinear"})


def test_a_missing_size_is_not_guessed() -> None:
    with pytest.raises(ConfigError, match=r"preprocess.size is missing.* Given: mode"):
        Preprocess.from_dict({"mode": "crop"})


def test_an_unknown_mode_is_named_with_near_ones() -> None:
    with pytest.raises(ConfigError, match=r"preprocess.mode=squahs: .* Did you mean 'squash'\?"):
        Preprocess(224, mode="squahs")  # type: ignore[arg-type]


def test_an_unknown_interpolation_lists_the_known() -> None:
    with pytest.raises(ConfigError, match=r"interpolation=area: use one of nearest, bilinear, bicubic, lanczos"):
        Preprocess(224, interpolation="area")  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [0, -1, 2.5, True, "224", (224,), (1, 2, 3), (0, 5), 30_000])
def test_a_size_that_is_none_is_refused(size: object) -> None:
    with pytest.raises(ConfigError, match=r"preprocess.size=.* \[height, width\]"):
        Preprocess(size)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["crop", "squash", "letterbox"])
def test_no_size_is_for_mode_none_only(mode: Mode) -> None:
    with pytest.raises(ConfigError, match=f"size=null .* not {mode}"):
        Preprocess(None, mode=mode)


def test_a_resize_smaller_than_the_crop_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"resize=200.* at least .*\(224\)"):
        Preprocess(224, resize=200)


@pytest.mark.parametrize("mode", ["squash", "letterbox", "none"])
def test_resize_is_for_crop_only(mode: Mode) -> None:
    with pytest.raises(ConfigError, match=f"resize=256 goes with .*mode=crop only, not {mode}"):
        Preprocess(224, mode=mode, resize=256)


@pytest.mark.parametrize("fill", [-1, 256, (1, 2), "white", (0, 0, 300), 0.5])
def test_a_fill_out_of_range_is_refused(fill: object) -> None:
    with pytest.raises(ConfigError, match=r"preprocess.fill=.* 0 to 255"):
        Preprocess(224, mode="letterbox", fill=fill)  # type: ignore[arg-type]


# From images that are not decoded yet


def photograph(height: int = 480, width: int = 640) -> UInt8Array:
    small = np.random.default_rng(0).integers(0, 256, (height // 40 + 1, width // 40 + 1, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def jpeg(image: UInt8Array) -> bytes:
    buffer = BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


MODES = ["crop", "squash", "letterbox"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [32, (48, 90), 700])
def test_full_decoding_gives_what_the_pixels_give(mode: Mode, size: int | tuple[int, int]) -> None:
    preprocess = Preprocess(size, mode=mode)
    sample_image = image_from_bytes(jpeg(photograph()), name="x")
    assert np.array_equal(preprocess.from_lazy_image(sample_image), preprocess(sample_image.pixels()))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [28, 32, (48, 90), 200, 700])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
def test_reduced_decoding_gives_nearly_that(
    mode: Mode, size: int | tuple[int, int], interpolation: Interpolation
) -> None:
    full = Preprocess(size, mode=mode, interpolation=interpolation)
    reduced = Preprocess(size, mode=mode, interpolation=interpolation, decode="reduced")
    sample_image = image_from_bytes(jpeg(photograph()), name="x")
    first, second = full.from_lazy_image(sample_image), reduced.from_lazy_image(sample_image)
    assert first.shape == second.shape
    inside = np.abs(first.astype(int) - second)[1:-1, 1:-1]  # the edge of a crop sees no pixels beyond it
    assert inside.mean() < 1.5
    assert np.abs(first.astype(int) - second).mean() < 2


@pytest.mark.parametrize("mode", ["crop", "squash", "letterbox"])
@pytest.mark.parametrize(("interpolation", "apart"), [("bilinear", 1), ("bicubic", 0)])
def test_reduced_is_full_where_nothing_is_left_out(mode: Mode, interpolation: Any, apart: int) -> None:
    """Bilinear is computed by another library there, which rounds otherwise."""
    sample_image = DecodedImage(photograph())
    size, options = (100, 130), {"mode": mode, "interpolation": interpolation}
    full, reduced = (Preprocess(size, decode=decode, **options) for decode in ("full", "reduced"))
    difference = full.from_lazy_image(sample_image).astype(int) - reduced.from_lazy_image(sample_image)
    assert np.abs(difference).max() <= apart


@settings(max_examples=60, deadline=None)
@given(height=st.integers(1, 90), width=st.integers(1, 90), size=st.integers(1, 48), margin=st.integers(0, 20))
def test_a_reduced_crop_stays_inside_any_image(height: int, width: int, size: int, margin: int) -> None:
    preprocess = Preprocess(size, resize=size + margin, decode="reduced")
    assert preprocess.from_lazy_image(DecodedImage(sample_image(height, width))).shape == (size, size, 3)


def test_mode_none_takes_the_pixels() -> None:
    image = photograph()
    result = Preprocess(None, mode="none", decode="reduced").from_lazy_image(DecodedImage(image))
    assert np.array_equal(result, image)


def test_descriptions_from_before_there_was_a_choice_mean_full() -> None:
    old = {"size": 224, "mode": "crop", "resize": None, "interpolation": "bilinear", "fill": [124, 116, 104]}
    assert Preprocess.from_dict(old).decode == "full"
    assert Preprocess.from_dict(Preprocess(224, decode="reduced").to_dict()).decode == "reduced"


def test_an_unknown_way_of_decoding_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"preprocess.decode=reduce: use one of full, reduced. Did you mean .reduced."
    ):
        Preprocess(224, decode="reduce")  # type: ignore[arg-type]


SIZES = [(mode, size, None) for mode in ("crop", "squash", "letterbox", "none") for size in (8, (8, 6), (7, 8))]


@pytest.mark.parametrize(("mode", "size", "resize"), [*SIZES, ("crop", 8, 8), ("crop", (8, 6), 6), ("crop", 7, 8)])
def test_what_it_keeps_comes_out_as_it_went_in(mode, size, resize):
    preprocess = Preprocess(size=size, mode=mode, resize=resize)
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    made = None if mode == "none" and size != 8 else preprocess(image)
    assert preprocess.keeps(8, 8) == (made is not None and np.array_equal(made, image))
