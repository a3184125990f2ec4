"""Preprocessing: one resize-and-crop, described by a few plain values, the same in evaluation and deployment."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from PIL import Image

from imgrec.core.config.checks import check_choice
from imgrec.data.samples import UInt8Array
from imgrec.errors import ConfigError, DataError, did_you_mean

if TYPE_CHECKING:
    from imgrec.data.images.lazy_image import LazyImage
    from imgrec.data.images.window import WindowInterpolation

Mode = Literal["crop", "squash", "letterbox", "none"]
Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]
Decode = Literal["full", "reduced"]

# A thin strip resized by its shorter side would take gigabytes, of which the crop keeps a few pixels.
_MAX_RESIZED_PX = 32_000_000


@dataclass(frozen=True)
class Preprocess:
    """Resize an image uint8 (H, W, 3) to `size`, the same way in validation, evaluation, prediction and serving.

    Args:
        size: Pixels of a side, or (height, width); None, with mode "none" only, leaves images as they are.
        mode: "crop" resizes until the image just covers `resize`, then takes the centre (He et al. 2015, section 3.4;
            equal, pixel for pixel, to torchvision's Resize and CenterCrop on PIL images). "squash" resizes to `size`
            without keeping the aspect ratio. "letterbox" keeps it and pads with `fill`. "none" only checks the size.
        resize: For "crop": pixels of the shorter side before the crop; None: size / 0.875 (256 for 224).
        interpolation: Pillow's, anti-aliased for downscaling (except "nearest").
        fill: For "letterbox": one value or (red, green, blue), 0-255. The default is the ImageNet mean.
        decode: For `from_lazy_image`: "full" decodes whole images, the same pixels as a call, bit for bit. "reduced"
            decodes no finer than the result needs: faster for large photographs, and slightly different.

    Raises:
        ConfigError: An invalid value.
        DataError: In a call: an image of another size with mode "none".
    """

    size: int | tuple[int, int] | None
    mode: Mode = "crop"
    resize: int | None = None
    interpolation: Interpolation = "bilinear"
    fill: int | tuple[int, int, int] = (124, 116, 104)
    decode: Decode = "full"

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", _plain(self.size))  # Hydra and JSON bring lists of their own kinds
        object.__setattr__(self, "fill", _plain(self.fill))
        check_choice("preprocess.mode", self.mode, get_args(Mode))
        check_choice("preprocess.interpolation", self.interpolation, get_args(Interpolation))
        check_choice("preprocess.decode", self.decode, get_args(Decode))
        self._check_size()
        self._check_resize()
        fill = (self.fill,) * 3 if isinstance(self.fill, int) else self.fill
        if not (isinstance(fill, tuple) and len(fill) == 3 and all(_is_whole(value, 0, 255) for value in fill)):
            raise ConfigError(f"preprocess.fill={self.fill!r}: one value or [red, green, blue], 0 to 255 each.")

    @property
    def height_width(self) -> tuple[int, int] | None:
        """Height and width of the result, None if it is that of the input."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    def keeps(self, height: int, width: int) -> bool:
        """Return whether an image of this size is left unchanged."""
        if self.height_width not in (None, (height, width)):
            return False
        return self.mode != "crop" or self._covering_size(width, height) == (width, height)

    def __call__(self, image: UInt8Array, /) -> UInt8Array:
        """Return the preprocessed image: uint8 (height, width, 3)."""
        if self.height_width is None:
            return image
        if self.mode == "none":
            return self._checked(image)
        lazy = Image.fromarray(image)
        make = {"crop": self._crop, "squash": self._squash, "letterbox": self._letterbox}[self.mode]
        return np.array(make(lazy, *self.height_width))

    def from_lazy_image(self, lazy: "LazyImage") -> UInt8Array:
        """Decode and preprocess an image, as `decode` says: uint8 (height, width, 3).

        Raises:
            ImageError: It cannot be decoded.
        """
        if self.decode == "full" or self.height_width is None or self.mode == "none":
            return self(lazy.pixels())
        height, width = lazy.height_width
        interpolation: WindowInterpolation = "fast" if self.interpolation == "bilinear" else self.interpolation
        whole = (0, 0, width, height)
        if self.mode == "squash":
            return lazy.window(whole, size=self.height_width, interpolation=interpolation)
        if self.mode == "letterbox":
            inner = lazy.window(whole, size=self._inner_size(height, width), interpolation=interpolation)
            return np.array(self._padded(Image.fromarray(inner), *self.height_width))
        resized_width, resized_height = self._covering_size(width, height)
        if resized_width * resized_height > _MAX_RESIZED_PX:
            box = self._crop_box(width, height)
            return lazy.window(box, size=self.height_width, interpolation=self.interpolation)
        # Whole images, not a box through pixels, are what the fast resize is made for.
        resized = lazy.window(whole, size=(resized_height, resized_width), interpolation=interpolation)
        left, top, right, bottom = self._crop_place(resized_width, resized_height)
        return np.ascontiguousarray(resized[top:bottom, left:right])

    def to_dict(self) -> dict[str, Any]:
        """Return all settings as plain values for JSON, including defaults."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Preprocess":
        """Return the `Preprocess` of such settings.

        Raises:
            ConfigError: An unknown or missing key, or an invalid value.
        """
        names = [field.name for field in fields(cls)]
        for key in values:
            if key not in names:
                raise ConfigError(f"preprocess has no key {key!r}.{did_you_mean(key, names)} Keys: {', '.join(names)}.")
        if "size" not in values:
            raise ConfigError(f"preprocess.size is missing. Given: {', '.join(values) or 'nothing'}.")
        return cls(**values)

    def _crop(self, lazy: Image.Image, height: int, width: int) -> Image.Image:
        resized_width, resized_height = self._covering_size(*lazy.size)
        box = self._crop_place(resized_width, resized_height)
        if resized_width * resized_height <= _MAX_RESIZED_PX:
            return self._resized(lazy, resized_width, resized_height).crop(box)
        return lazy.resize((width, height), self._resample, box=self._crop_box(*lazy.size))

    def _crop_box(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Return the part of an image that "crop" keeps, in its own pixels: left, top, right, bottom."""
        assert self.height_width is not None
        resized_width, resized_height = self._covering_size(width, height)
        scale_x, scale_y = width / resized_width, height / resized_height
        left, top, right, bottom = self._crop_place(resized_width, resized_height)
        return left * scale_x, top * scale_y, min(right * scale_x, width), min(bottom * scale_y, height)

    def _crop_place(self, resized_width: int, resized_height: int) -> tuple[int, int, int, int]:
        """Return the part of a resized image that "crop" keeps: left, top, right, bottom."""
        assert self.height_width is not None
        height, width = self.height_width
        left, top = round((resized_width - width) / 2), round((resized_height - height) / 2)
        return left, top, left + width, top + height

    def _covering_size(self, width: int, height: int) -> tuple[int, int]:
        """Return width and height that keep the aspect ratio and just cover `resize`, rounded down as in torchvision.

        For a crop that is not square, `resize` is for its shorter side, and the longer side gets the same margin.
        """
        assert self.height_width is not None
        crop_height, crop_width = self.height_width
        shorter = min(crop_height, crop_width)
        resize = round(shorter / 0.875) if self.resize is None else self.resize
        cover_height, cover_width = crop_height * resize // shorter, crop_width * resize // shorter
        if width * cover_height >= height * cover_width:
            return width * cover_height // height, cover_height
        return cover_width, height * cover_width // width

    def _squash(self, lazy: Image.Image, height: int, width: int) -> Image.Image:
        return self._resized(lazy, width, height)

    def _letterbox(self, lazy: Image.Image, height: int, width: int) -> Image.Image:
        inner_height, inner_width = self._inner_size(lazy.height, lazy.width)
        return self._padded(self._resized(lazy, inner_width, inner_height), height, width)

    def _inner_size(self, image_height: int, image_width: int) -> tuple[int, int]:
        """Return height and width of the image within its padding."""
        assert self.height_width is not None
        height, width = self.height_width
        scale = min(height / image_height, width / image_width)
        return min(height, max(1, round(image_height * scale))), min(width, max(1, round(image_width * scale)))

    def _padded(self, inner: Image.Image, height: int, width: int) -> Image.Image:
        fill = (self.fill,) * 3 if isinstance(self.fill, int) else self.fill
        canvas = Image.new("RGB", (width, height), fill)
        canvas.paste(inner, ((width - inner.width) // 2, (height - inner.height) // 2))
        return canvas

    def _resized(self, lazy: Image.Image, width: int, height: int) -> Image.Image:
        return lazy if lazy.size == (width, height) else lazy.resize((width, height), self._resample)

    @property
    def _resample(self) -> Image.Resampling:
        return Image.Resampling[self.interpolation.upper()]

    def _checked(self, image: UInt8Array) -> UInt8Array:
        if image.shape[:2] != self.height_width:
            assert self.height_width is not None
            raise DataError(
                f"An image of {_times(image.shape[:2])} px (height x width), but preprocess.size is "
                f"{_times(self.height_width)} and preprocess.mode=none resizes nothing. "
                "Set preprocess=crop, squash or letterbox."
            )
        return image

    def _check_size(self) -> None:
        if self.size is None:
            if self.mode != "none":
                raise ConfigError(f"preprocess.size=null goes with preprocess.mode=none only, not {self.mode}.")
            return
        pair = self.height_width
        if not (isinstance(pair, tuple) and len(pair) == 2 and all(_is_whole(side, 1, 20_000) for side in pair)):
            raise ConfigError(f"preprocess.size={self.size!r}: pixels of a side, or [height, width], 1 to 20000.")

    def _check_resize(self) -> None:
        if self.resize is None:
            return
        if self.mode != "crop":
            raise ConfigError(
                f"preprocess.resize={self.resize!r} goes with preprocess.mode=crop only, not {self.mode}."
            )
        assert self.height_width is not None
        shorter = min(self.height_width)
        if not _is_whole(self.resize, shorter, 40_000):
            raise ConfigError(
                f"preprocess.resize={self.resize!r}: pixels of the shorter side before the crop, "
                f"at least that of preprocess.size ({shorter})."
            )


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, Iterable) and not isinstance(value, str | bytes) else value


def _is_whole(value: object, lowest: int, highest: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest


def _times(height_width: tuple[int, ...]) -> str:
    return "x".join(str(side) for side in height_width)
