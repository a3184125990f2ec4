"""Training augmentation by albumentations; its random draws are a pure function of (seed, epoch, sample index)."""

import functools
import inspect
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, get_args

import numpy as np

from imgrec.core.config.checks import check_choice
from imgrec.core.keyed_random import KeyedGenerators
from imgrec.data.images.lazy_image import DecodedImage, LazyImage
from imgrec.data.samples import UInt8Array
from imgrec.errors import ConfigError, did_you_mean

After = Literal["decode", "preprocess"]
Decode = Literal["fast", "full"]


class Augment:
    """A pipeline of albumentations transforms that gives the same image for the same key, in every process.

    A RandomResizedCrop that comes first, always applies (p=1) and averages for downscaling (bilinear, with
    `area_for_downscale`) draws as albumentations does, and is carried out by `LazyImage.window`, anti-aliased.

    Not thread-safe: each thread needs its own object; worker processes have copies.

    Args:
        transforms: albumentations objects; one left partial (`_partial_: true`) gets the output size from here, as
            `size` or as `height` and `width`. An empty list changes nothing and imports nothing.
        after: What it works on: "decode": the image as it is in its file, so that the pipeline has to resize itself;
            "preprocess": the preprocessed image.
        size: Pixels of a side, or (height, width), that the result must have; None: not checked.
        decode: For `from_lazy_image`, when RandomResizedCrop comes first: "fast" decodes only the part that it draws,
            "full" crops the same part from the whole image.

    Raises:
        ConfigError: An invalid entry, or (in a call) a result that is not uint8 (height, width, 3).
    """

    def __init__(
        self,
        transforms: Sequence[Any] = (),
        *,
        after: After = "preprocess",
        size: int | Sequence[int] | None = None,
        decode: Decode = "fast",
    ) -> None:
        check_choice("augment.after", after, get_args(After))
        check_choice("augment.decode", decode, get_args(Decode))
        self.after = after
        self.decode = decode
        self.size = _height_width(size)
        self._draws = KeyedGenerators()
        self._pipeline = _compose([_complete(entry, self.size) for entry in transforms]) if len(transforms) else None
        if self._pipeline is not None:
            self._pipeline.set_random_state(self._draws.numpy, self._draws.python)
        self._crops_first = self._pipeline is not None and _is_window(self._pipeline.transforms[0])

    def __call__(self, image: UInt8Array, /, *, key: tuple[int, int, int]) -> UInt8Array:
        """Return the augmented image: uint8 (h, w, 3). `key` is (seed, epoch, index of the sample)."""
        if self._crops_first:
            return self.from_lazy_image(DecodedImage(image), key=key)
        if self._pipeline is None:
            return image
        self._draws.start(key)
        with _explained(image.shape):
            result: UInt8Array = self._pipeline(image=image)["image"]
        self._check(result)
        return result

    def from_lazy_image(self, image: LazyImage, *, key: tuple[int, int, int]) -> UInt8Array:
        """Decode and augment an image, as `self(image.pixels(), key=key)`, but faster.

        The random draws are the same; pixels differ slightly where the decoder skips detail finer than the result.

        Raises:
            ImageError: The image cannot be decoded.
        """
        if not self._crops_first:
            return self(image.pixels(), key=key)
        assert self._pipeline is not None
        crop, *others = self._pipeline.transforms
        height_width = image.height_width
        self._draws.start(key)
        self._draws.python.random()  # the one that Compose draws for its own probability
        box = crop.get_params_dependent_on_data({"shape": (*height_width, 3)}, {})["crop_coords"]
        whole = image if self.decode == "fast" else DecodedImage(image.pixels())
        data: dict[str, Any] = {"image": whole.window(box, size=tuple(crop.size), interpolation="fast")}
        with _explained(height_width):
            for transform in others:
                data = transform(**data)
        result: UInt8Array = data["image"]
        self._check(result)
        return result

    def _check(self, result: UInt8Array) -> None:
        if result.dtype != np.uint8 or result.ndim != 3 or result.shape[2] != 3:
            raise ConfigError(
                f"augment.transforms returned {result.dtype} of shape {result.shape}, not uint8 (h, w, 3). "
                "Remove transforms like Normalize and ToTensorV2: the model normalises."
            )
        if self.size is not None and result.shape[:2] != self.size:
            raise ConfigError(
                f"augment.transforms returned {result.shape[0]}x{result.shape[1]} px (height x width), but "
                f"augment.size is {self.size[0]}x{self.size[1]}. Resize or crop last, or set augment.after=preprocess."
            )


def _is_window(transform: Any) -> bool:
    """Return whether `LazyImage.window` can carry out this transform: same draws, anti-aliased resizing."""
    import albumentations
    from cv2 import INTER_LINEAR

    return (
        type(transform) is albumentations.RandomResizedCrop
        and transform.p >= 1
        and transform.interpolation == INTER_LINEAR
        and transform.area_for_downscale is not None
    )


@contextmanager
def _explained(shape: tuple[int, ...]) -> Iterator[None]:
    """Turn any error into a ConfigError: albumentations and OpenCV have no common one."""
    try:
        yield
    except Exception as error:
        message = f"augment.transforms failed on an image of {shape[0]}x{shape[1]} px (height x width)"
        raise ConfigError(f"{message}: {type(error).__name__}: {error}") from error


def _compose(transforms: list[Any]) -> Any:
    import albumentations

    kinds = (albumentations.BasicTransform, albumentations.BaseCompose)
    for place, transform in enumerate(transforms):
        if not isinstance(transform, kinds):
            raise ConfigError(
                f"augment.transforms[{place}] is {transform!r}, not an albumentations transform. "
                "Write an entry as `_target_: albumentations.HorizontalFlip` and its arguments."
            )
    pipeline = albumentations.Compose(transforms)
    for transform in _walk(pipeline):
        _check_arguments(transform)
    return pipeline


def _walk(transform: Any) -> Iterator[Any]:
    yield transform
    for child in getattr(transform, "transforms", ()):
        yield from _walk(child)


def _check_arguments(transform: Any) -> None:
    """Reject what albumentations only warns of: a misspelt argument, for which it uses its default."""
    for name in getattr(transform, "invalid_args", ()):
        known = list(inspect.signature(type(transform)).parameters)
        raise ConfigError(
            f"albumentations.{type(transform).__name__} has no argument {name!r}.{did_you_mean(name, known)} "
            f"Arguments: {', '.join(known)}."
        )


def _complete(entry: Any, size: tuple[int, int] | None) -> Any:
    if not isinstance(entry, functools.partial):
        return entry
    name = getattr(entry.func, "__name__", repr(entry.func))
    if size is None:
        raise ConfigError(f"augment: {name} needs an output size. Set preprocess.size (or augment.size).")
    parameters = inspect.signature(entry.func).parameters
    return entry(size=size) if "size" in parameters else entry(height=size[0], width=size[1])


def _height_width(size: int | Sequence[int] | None) -> tuple[int, int] | None:
    if size is None:
        return None
    pair = tuple(size) if isinstance(size, Iterable) else (size, size)
    if len(pair) != 2 or not all(isinstance(side, int) and side > 0 for side in pair):
        raise ConfigError(f"augment.size={size!r}: pixels of a side, or [height, width].")
    return pair[0], pair[1]
