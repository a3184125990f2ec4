"""Augment: the same key gives the same image anywhere; other keys give others; presets do what they say."""

import copy
import hashlib
import json
import os
import pickle
import random
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import albumentations as A  # noqa: N812 - its own documentation's name
import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from imgrec.core.keyed_random import KeyedGenerators
from imgrec.data import Augment, Preprocess
from imgrec.data.images.lazy_image import DecodedImage, image_from_bytes
from imgrec.data.samples import UInt8Array
from imgrec.errors import ConfigError, ImageError

CONF = Path(__file__).resolve().parents[3] / "conf"
PRESETS = ("none", "flip", "standard", "strong", "medical", "digits")  # small_images is a BatchAugment


def sample_image(height: int = 48, width: int = 64) -> UInt8Array:
    """Return an image without symmetry, with smooth and sharp parts."""
    y, x = np.mgrid[:height, :width]
    return np.dstack([x * 255 // width, y * 255 // height, (x * y) % 256]).astype(np.uint8)


def preset(name: str, *, size: int | list[int] | None = 32) -> Augment:
    config = OmegaConf.create(
        {"preprocess": {"size": size}, "augment": OmegaConf.load(CONF / "augment" / f"{name}.yaml")}
    )
    augment = instantiate(config.augment)
    assert isinstance(augment, Augment)
    return augment


def input_for(augment: Augment, image: UInt8Array, *, size: int | tuple[int, int] = 32) -> UInt8Array:
    return image if augment.after == "decode" else Preprocess(size, mode="squash")(image)


def digest(image: UInt8Array) -> str:
    return hashlib.sha256(image.tobytes()).hexdigest()


def continuous() -> Augment:
    """Return a pipeline whose draws hardly ever repeat, from both kinds of generators and nested lists."""
    shift = A.Affine(translate_percent=(-0.2, 0.2), rotate=(-30, 30), p=1.0)
    dropout = A.CoarseDropout(fill="random_uniform", p=1.0)
    return Augment([A.SomeOf([shift, dropout], n=2, p=1.0), A.OneOf([A.HorizontalFlip(p=1.0), A.NoOp()], p=0.7)])


# The same key, the same image


def test_seed_epoch_and_index_are_not_exchangeable() -> None:
    augment = continuous()
    keys = [(1, 2, 3), (1, 3, 2), (2, 1, 3), (2, 3, 1), (3, 1, 2), (3, 2, 1), (0, 0, 6)]
    assert len({digest(augment(sample_image(), key=key)) for key in keys}) == len(keys)


def test_the_same_key_gives_the_same_image_in_any_order() -> None:
    augment = continuous()
    forward = [digest(augment(sample_image(), key=(1, 0, index))) for index in range(20)]
    backward = [digest(augment(sample_image(), key=(1, 0, index))) for index in reversed(range(20))]
    assert forward == backward[::-1]
    assert len(set(forward)) == 20


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda augment: pickle.loads(pickle.dumps(augment))])
def test_copies_draw_the_same_and_apart_from_each_other(copied: Callable[[Augment], Augment]) -> None:
    augment = continuous()
    other = copied(augment)
    expected = [digest(augment(sample_image(), key=(1, 0, index))) for index in range(5)]
    assert [digest(other(sample_image(), key=(1, 0, index))) for index in range(5)] == expected


def test_the_global_generators_neither_matter_nor_move() -> None:
    augment = continuous()
    random.seed(1)
    np.random.seed(1)
    first = augment(sample_image(), key=(1, 0, 0))
    random.seed(2)
    np.random.seed(2)
    before = random.getstate(), np.random.get_state()[1].copy()
    assert np.array_equal(augment(sample_image(), key=(1, 0, 0)), first)
    assert random.getstate() == before[0]
    assert np.array_equal(np.random.get_state()[1], before[1])


class Augmented(Dataset[tuple[int, str]]):
    """Sample index -> what its augmented image is, as a hash."""

    def __init__(self, augment: Augment, *, epoch: int, length: int) -> None:
        self.augment, self.epoch, self.length = augment, epoch, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[int, str]:
        return index, digest(self.augment(sample_image(), key=(1, self.epoch, index)))


def as_it_is(batch: list[tuple[int, str]]) -> list[tuple[int, str]]:
    return batch


def loaded(augment: Augment, *, num_workers: int, epoch: int = 0, length: int = 40, **options: Any) -> dict[int, str]:
    dataset = Augmented(augment, epoch=epoch, length=length)
    loader = DataLoader(dataset, batch_size=4, num_workers=num_workers, collate_fn=as_it_is, shuffle=True, **options)
    return dict(sample for batch in loader for sample in batch)


pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")  # few processors


def test_draws_do_not_depend_on_the_number_of_workers() -> None:
    augment = preset("strong")
    expected = loaded(augment, num_workers=0)
    assert len(expected) == 40
    assert loaded(augment, num_workers=2) == expected
    assert loaded(augment, num_workers=4) == expected


@pytest.mark.guard
def test_spawned_workers_draw_the_same() -> None:
    augment = continuous()
    expected = loaded(augment, num_workers=0, length=4)
    assert loaded(augment, num_workers=1, length=4, multiprocessing_context="spawn") == expected


def test_workers_and_epochs_share_no_draws() -> None:
    augment = continuous()
    seen = [value for epoch in range(2) for value in loaded(augment, num_workers=4, epoch=epoch, length=600).values()]
    assert len(seen) == 1200
    assert len(seen) - len(set(seen)) < 0.001 * len(seen)


def test_another_seed_gives_other_images() -> None:
    augment = continuous()
    images = {digest(augment(sample_image(), key=(seed, 0, index))) for seed in range(5) for index in range(20)}
    assert len(images) == 100


BROAD = """
import hashlib, json, os, warnings
import albumentations as A, numpy as np
from imgrec.data import Augment
from imgrec.errors import ConfigError
warnings.simplefilter("ignore")
needs = {
    "CenterCrop": {"height": 16, "width": 16}, "RandomCrop": {"height": 16, "width": 16},
    "Resize": {"height": 16, "width": 16}, "RandomResizedCrop": {"size": (16, 16)},
    "RandomSizedCrop": {"min_max_height": (10, 20), "size": (16, 16)},
}
y, x = np.mgrid[:32, :40]
image = np.dstack([x * 6, y * 7, x * y % 256]).astype(np.uint8)
kinds = (A.ImageOnlyTransform, A.DualTransform)
names = [name for name in dir(A) if isinstance(getattr(A, name), type) and issubclass(getattr(A, name), kinds)]
found, order = {}, -1 if os.fork() else 1  # two fresh processes for one import
for name in names[::order]:
    try:
        augment = Augment([A.OneOf([getattr(A, name)(p=1.0, **needs.get(name, {})), A.NoOp()], p=1.0)])
        images = {key: augment(image, key=(1, 2, key)) for key in list(range(6))[::order]}
    except (ValueError, ConfigError):
        continue  # needs boxes, masks, volumes, reference images or other arguments; or does not make uint8
    found[name] = [hashlib.md5(images[key].tobytes()).hexdigest() for key in range(6)]
if order < 0:
    os.wait()
print(json.dumps(found), flush=True)
"""


@pytest.mark.guard
def test_every_transform_of_albumentations_draws_by_key_alone() -> None:
    """In two fresh processes that call all of them in opposite orders."""
    done = subprocess.run([sys.executable, "-c", BROAD], capture_output=True, text=True, check=True)
    forward, backward = (json.loads(line) for line in done.stdout.splitlines())
    assert len(forward) >= 90
    assert forward == backward


# What comes out


def test_no_transforms_give_the_image_itself() -> None:
    image = sample_image()
    assert Augment()(image, key=(0, 0, 0)) is image


def test_no_transforms_import_no_albumentations() -> None:
    code = "import sys, imgrec.data; imgrec.data.Augment([]); assert 'albumentations' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_albumentations_is_told_not_to_ask_the_network() -> None:
    code = "import os, imgrec.data.augment.albumentations_pipeline; print(os.environ['NO_ALBUMENTATIONS_UPDATE'])"
    untold = {name: value for name, value in os.environ.items() if name != "NO_ALBUMENTATIONS_UPDATE"}
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=untold)
    assert done.stdout == "1\n"


def test_flips_happen_as_often_as_asked() -> None:
    augment = Augment([A.HorizontalFlip(p=0.3)])
    image = sample_image()
    flips = [np.array_equal(augment(image, key=(1, 0, index)), image[:, ::-1]) for index in range(2000)]
    assert abs(np.mean(flips) - 0.3) < 4 * np.sqrt(0.3 * 0.7 / 2000)


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("size", [32, [24, 40]])
def test_presets_make_uint8_of_the_preprocessed_size(name: str, size: int | list[int]) -> None:
    augment = preset(name, size=size)
    height, width = (size, size) if isinstance(size, int) else size
    for shape in ((48, 64), (100, 30), (9, 9)):
        image = input_for(augment, sample_image(*shape), size=(height, width))
        before = image.copy()
        for index in range(15):
            result = augment(image, key=(1, 0, index))
            assert result.dtype == np.uint8
            assert result.shape == (height, width, 3)
        assert np.array_equal(image, before)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_compose_with_every_preprocess(name: str) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose(overrides=[f"+augment={name}", "+preprocess=squash", "preprocess.size=64"])
    augment = instantiate(config.augment)
    image = input_for(augment, sample_image(), size=64)
    assert augment(image, key=(0, 0, 0)).shape == (64, 64, 3)


def test_the_presets_are_all_tested() -> None:
    assert {path.stem for path in (CONF / "augment").glob("*.yaml")} == {*PRESETS, "small_images"}


@pytest.mark.parametrize("name", PRESETS)
def test_presets_change_images_and_none_does_not(name: str) -> None:
    augment = preset(name)
    image = input_for(augment, sample_image())
    different = {digest(augment(image, key=(1, 0, index))) for index in range(30)}
    assert len(different) == {"none": 1, "flip": 2}.get(name, len(different))
    assert name in ("none", "flip") or len(different) >= 20


@pytest.mark.parametrize("name", ["standard", "strong"])
def test_presets_that_crop_work_on_the_decoded_image(name: str) -> None:
    assert preset(name).after == "decode"


@pytest.mark.parametrize("name", ["none", "flip", "medical", "digits"])
def test_other_presets_work_on_the_preprocessed_image(name: str) -> None:
    assert preset(name).after == "preprocess"


@pytest.mark.parametrize(("name", "flips"), [("medical", False), ("digits", False), ("flip", True)])
def test_medical_and_digits_never_flip(name: str, flips: bool) -> None:
    image = np.zeros((64, 64, 3), dtype=np.uint8)
    image[8:24, 8:24] = 200  # up and left
    augment = preset(name, size=64)
    places = []
    for index in range(300):
        bright = np.argwhere(augment(image, key=(1, 0, index))[..., 0] > 100)
        places.append(bright.mean(axis=0))
    assert (max(np.max(places, axis=0)) > 32) == flips


def test_medical_keeps_gray_gray() -> None:
    gray = np.repeat(sample_image()[..., :1], 3, axis=2)
    augment = preset("medical")
    image = Preprocess(32, mode="squash")(gray)
    for index in range(60):
        result = augment(image, key=(1, 0, index))
        assert np.array_equal(result[..., 0], result[..., 1])
        assert np.array_equal(result[..., 0], result[..., 2])


def test_standard_averages_when_it_makes_smaller() -> None:
    stripes = np.zeros((256, 256, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    augment = preset("standard")
    for index in range(20):
        result = augment(stripes, key=(1, 0, index))
        assert result.std() < 40  # picking single pixels would give stripes again: 127


# What is refused


def test_an_unknown_place_in_the_order_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"augment.after=decoded: use one of decode, preprocess. Did you mean 'decode'"
    ):
        Augment([], after="decoded")  # type: ignore[arg-type]


def test_an_entry_that_is_no_transform_is_refused_by_its_place() -> None:
    with pytest.raises(ConfigError, match=r"transforms\[1\] is {'p': 1}, not .*`_target_: albumentations"):
        Augment([A.NoOp(), {"p": 1}])


@pytest.mark.filterwarnings("ignore:Argument:UserWarning")
@pytest.mark.parametrize("nest", [lambda transform: transform, lambda transform: A.OneOf([transform, A.NoOp()])])
def test_a_misspelt_argument_is_refused_with_near_ones(nest: Callable[[Any], Any]) -> None:
    with pytest.raises(ConfigError, match=r"Affine has no argument 'rotation'. Did you mean 'rotate'\?.* scale, "):
        Augment([nest(A.Affine(rotation=(0, 10)))])


def test_a_result_that_is_not_uint8_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"returned float32 .* not uint8 .* Normalize"):
        Augment([A.Normalize()])(sample_image(), key=(0, 0, 0))


def test_a_result_of_another_size_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"returned 48x64 px .* augment.size is 32x32"):
        Augment([A.NoOp()], size=32)(sample_image(), key=(0, 0, 0))


def test_a_failing_transform_tells_the_size_it_failed_on() -> None:
    with pytest.raises(ConfigError, match=r"failed on an image of 48x64 px .*CropSizeError"):
        Augment([A.RandomCrop(height=100, width=100)])(sample_image(), key=(0, 0, 0))


@pytest.mark.parametrize("name", ["standard", "strong"])
def test_a_crop_without_a_size_is_refused(name: str) -> None:
    with pytest.raises(Exception, match=r"RandomResizedCrop needs an output size. Set preprocess.size") as caught:
        preset(name, size=None)
    assert isinstance(caught.value.__cause__ or caught.value, ConfigError)


def test_a_partial_transform_gets_the_size_as_height_and_width_too() -> None:
    from functools import partial

    augment = Augment([partial(A.RandomCrop, pad_if_needed=True)], after="decode", size=(20, 30))
    assert augment(sample_image(), key=(0, 0, 0)).shape == (20, 30, 3)


@pytest.mark.parametrize("size", [0, (1, 2, 3), "32", 2.5])
def test_a_wrong_size_is_refused(size: Any) -> None:
    with pytest.raises(ConfigError, match=r"augment.size=.* \[height, width\]"):
        Augment([], size=size)


# From images that are not decoded yet


def jpeg(height: int = 300, width: int = 400, *, quality: int = 90) -> bytes:
    buffer = BytesIO()
    Image.fromarray(sample_image(height, width)).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


class Watched:
    """An image of a size that notes what is asked of it."""

    def __init__(self, height: int = 300, width: int = 400) -> None:
        self.height_width = (height, width)
        self.asked: list[Any] = []

    def pixels(self) -> UInt8Array:
        self.asked.append("pixels")
        return sample_image(*self.height_width)

    def window(self, box: Any, *, size: tuple[int, int], interpolation: Any = "bilinear") -> UInt8Array:
        self.asked.append(tuple(box))
        return np.zeros((*size, 3), dtype=np.uint8)


def albumentations_boxes(transforms: list[Any], *, num: int, shape: tuple[int, int]) -> list[Any]:
    """Return the parts that albumentations itself crops, by its own Compose, for keys (1, 0, 0 to num - 1)."""
    draws, pipeline = KeyedGenerators(), A.Compose(transforms)
    pipeline.set_random_state(draws.numpy, draws.python)
    boxes = []
    for index in range(num):
        draws.start((1, 0, index))
        pipeline(image=sample_image(*shape))
        boxes.append(tuple(transforms[0].params["crop_coords"]))
    return boxes


@pytest.mark.parametrize("shape", [(300, 400), (400, 300), (30, 900), (9, 9)])
@pytest.mark.parametrize("name", ["standard", "strong"])
def test_the_part_drawn_is_that_of_albumentations(name: str, shape: tuple[int, int]) -> None:
    augment, watched = preset(name), Watched(*shape)
    for index in range(40):
        augment.from_lazy_image(watched, key=(1, 0, index))
    assert augment._pipeline is not None
    transforms = copy.deepcopy(augment._pipeline.transforms)
    assert watched.asked == albumentations_boxes(transforms, num=40, shape=shape)


@pytest.mark.parametrize("name", ["standard", "strong"])
def test_the_other_transforms_draw_as_after_albumentations_own_crop(name: str) -> None:
    """On an image of one colour the crop changes nothing, so that the rest can be compared bit for bit."""
    augment = preset(name)
    assert augment._pipeline is not None
    flat = np.full((60, 80, 3), (200, 90, 40), dtype=np.uint8)
    draws, pipeline = KeyedGenerators(), A.Compose(copy.deepcopy(augment._pipeline.transforms))
    pipeline.set_random_state(draws.numpy, draws.python)
    for index in range(60):
        draws.start((1, 0, index))
        expected = pipeline(image=flat)["image"]
        assert np.array_equal(augment.from_lazy_image(DecodedImage(flat), key=(1, 0, index)), expected)


@pytest.mark.parametrize("name", PRESETS)
def test_a_decoded_image_gives_what_its_pixels_give(name: str) -> None:
    augment = preset(name)
    image = input_for(augment, sample_image())
    for index in range(20):
        key = (1, 0, index)
        assert np.array_equal(augment.from_lazy_image(DecodedImage(image), key=key), augment(image, key=key))


def test_full_decoding_cuts_the_same_parts() -> None:
    def augment(decode: Any) -> Augment:
        crop = A.RandomResizedCrop(size=(32, 32), area_for_downscale="image")
        return Augment([crop], after="decode", decode=decode)

    fast, full, data = augment("fast"), augment("full"), jpeg()
    worst = 0.0
    for index in range(40):
        results = [a.from_lazy_image(image_from_bytes(data, name="x"), key=(1, 0, index)) for a in (fast, full)]
        worst = max(worst, float(np.abs(results[0].astype(int) - results[1]).mean()))
    assert worst < 6  # of 255; another part would differ by 50
    watched = Watched()
    full.from_lazy_image(watched, key=(1, 0, 0))
    assert watched.asked == ["pixels"]


@pytest.mark.parametrize(
    "crop",
    [
        A.RandomResizedCrop(size=(32, 32), area_for_downscale="image", p=0.9),
        A.RandomResizedCrop(size=(32, 32)),  # asks for no averaging
        A.RandomResizedCrop(size=(32, 32), area_for_downscale="image", interpolation=2),  # cubic
        A.CenterCrop(32, 32),
    ],
    ids=str,
)
def test_what_a_window_would_do_otherwise_is_left_to_albumentations(crop: Any) -> None:
    augment, watched = Augment([crop], after="decode"), Watched()
    result = augment.from_lazy_image(watched, key=(1, 0, 3))
    assert watched.asked == ["pixels"]
    assert np.array_equal(result, augment(sample_image(300, 400), key=(1, 0, 3)))


def test_draws_from_images_do_not_depend_on_what_came_before() -> None:
    augment, data = preset("strong"), jpeg()

    def result(index: int) -> str:
        return digest(augment.from_lazy_image(image_from_bytes(data, name="x"), key=(1, 0, index)))

    forward = [result(index) for index in range(15)]
    augment(sample_image(), key=(5, 5, 5))
    assert [result(index) for index in reversed(range(15))] == forward[::-1]
    assert len(set(forward)) == 15


def test_an_image_that_cannot_be_decoded_is_an_image_error() -> None:
    broken = jpeg().replace(b"\xff\xda\x00\x0c\x03\x01\x00", b"\xff\xda\x00\x0c\x03\x01\x33")
    with pytest.raises(ImageError, match="name-of-it"):
        preset("standard").from_lazy_image(image_from_bytes(broken, name="name-of-it"), key=(0, 0, 0))


def test_an_unknown_way_of_decoding_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"augment.decode=fasst: use one of fast, full. Did you mean 'fast'"):
        Augment([], decode="fasst")  # type: ignore[arg-type]
