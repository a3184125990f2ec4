"""Images that are decoded on demand: the size is known from the header, pixels are decoded as far as needed."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from imgrec.data.images.image import decode_image
from imgrec.data.images.jpeg import PlainJpeg, Scale, decode_rows, decodes_as_pillow, read_plain_jpeg
from imgrec.data.images.limits import MIN_SIDE_PX, refuse_too_small
from imgrec.data.images.window import Box, WindowInterpolation, resized_part
from imgrec.data.samples import Images, ImagesView, UInt8Array

__all__ = ["DecodedImage", "JpegImage", "LazyImage", "image_from_bytes", "open_image"]

_SCALES: tuple[Scale, ...] = (8, 4, 2)


class LazyImage(Protocol):
    """One image, decoded as far as each call needs."""

    @property
    def height_width(self) -> tuple[int, int]:
        """Height and width upright, known before decoding."""
        ...

    def pixels(self) -> UInt8Array:
        """Return the whole image as `read_image` does: uint8 (H, W, 3).

        Raises:
            ImageError: It cannot be decoded.
        """
        ...

    def window(self, box: Box, *, size: tuple[int, int], interpolation: WindowInterpolation = "bilinear") -> UInt8Array:
        """Return a part of the image, cropped and then resized: uint8 (height, width, 3).

        A decoder may skip what is outside the part, and detail finer than the result.

        Args:
            box: Left, top, right, bottom in upright pixels.
            size: (height, width) of the result.
            interpolation: As in `resized_part`.

        Raises:
            ImageError: It cannot be decoded.
        """
        ...


@dataclass(frozen=True)
class DecodedImage:
    """An image that is decoded already: uint8 (H, W, 3)."""

    image: UInt8Array

    @property
    def height_width(self) -> tuple[int, int]:
        """Height and width."""
        return self.image.shape[0], self.image.shape[1]

    def pixels(self) -> UInt8Array:
        """Return the pixels themselves, not a copy."""
        return self.image

    def window(self, box: Box, *, size: tuple[int, int], interpolation: WindowInterpolation = "bilinear") -> UInt8Array:
        """Return the part `box` resized to `size`; see `LazyImage`."""
        return resized_part(self.image, box, size=size, interpolation=interpolation)


@dataclass(frozen=True)
class JpegImage:
    """A plain JPEG in memory; each call decodes what it needs."""

    jpeg: PlainJpeg
    name: str

    @property
    def height_width(self) -> tuple[int, int]:
        """Height and width upright."""
        height, width = self.jpeg.height_width
        return (width, height) if self.jpeg.orientation >= 5 else (height, width)

    def pixels(self) -> UInt8Array:
        """Return the whole, bit for bit as `decode_image` gives it."""
        image = decode_rows(self.jpeg, rows=self.jpeg.height_width[0]) if decodes_as_pillow() else None
        if image is None:
            return decode_image(self.jpeg.data, name=self.name)
        return _upright(image, self.jpeg.orientation)

    def window(self, box: Box, *, size: tuple[int, int], interpolation: WindowInterpolation = "bilinear") -> UInt8Array:
        """Return the part `box` resized to `size`, decoded up to its last row and not finer than needed."""
        orientation = self.jpeg.orientation
        scale = _scale_for(box, size)
        left, top, right, bottom = _as_stored(box, self.jpeg.height_width, orientation)
        image = decode_rows(self.jpeg, rows=int(np.ceil(bottom)), scale=scale)
        if image is None:
            whole = DecodedImage(decode_image(self.jpeg.data, name=self.name))
            return whole.window(box, size=size, interpolation=interpolation)
        stored_box = (left / scale, top / scale, right / scale, bottom / scale)
        stored_size = (size[1], size[0]) if orientation >= 5 else size
        return _upright(resized_part(image, stored_box, size=stored_size, interpolation=interpolation), orientation)


def open_image(images: Images, index: int) -> LazyImage:
    """Return image `index` of a collection, not decoded yet where the collection supports it (has `open`)."""
    if isinstance(images, ImagesView):
        return open_image(images.images, int(images.indices[index]))
    open_one = getattr(images, "open", None)
    if open_one is None:
        return DecodedImage(images[index])
    image: LazyImage = open_one(index)
    return image


def image_from_bytes(data: bytes, *, name: str, min_side_px: int = MIN_SIDE_PX) -> LazyImage:
    """Open the bytes of an image file. A plain JPEG is decoded on demand, every other file at once.

    Args:
        data: Content of the file.
        name: Its name in messages.
        min_side_px: Smallest side accepted.

    Raises:
        ImageError: As in `decode_image`, for the same files; `too_small`: a side below `min_side_px`.
    """
    jpeg = read_plain_jpeg(data)
    image = DecodedImage(decode_image(data, name=name)) if jpeg is None else JpegImage(jpeg, name)
    refuse_too_small(image.height_width, name=name, min_side_px=min_side_px)
    return image


def _scale_for(box: Box, size: tuple[int, int]) -> Scale:
    """Return the largest divisor that leaves the part at least as large as the result."""
    width, height = box[2] - box[0], box[3] - box[1]
    return next((scale for scale in _SCALES if height >= size[0] * scale and width >= size[1] * scale), 1)


def _as_stored(box: Box, height_width: tuple[int, int], orientation: int) -> Box:
    """Return an upright box in the coordinates of the image as stored, whose size is given."""
    height, width = height_width
    left, top, right, bottom = box
    if orientation >= 5:  # rows are columns
        left, top, right, bottom = top, left, bottom, right
    if orientation in (2, 3, 7, 8):
        left, right = width - right, width - left
    if orientation in (3, 4, 6, 7):
        top, bottom = height - bottom, height - top
    return left, top, right, bottom


def _upright(image: UInt8Array, orientation: int) -> UInt8Array:
    """Return the stored image turned by its EXIF orientation: flipped, then transposed."""
    if orientation in (2, 3, 7, 8):
        image = image[:, ::-1]
    if orientation in (3, 4, 6, 7):
        image = image[::-1]
    if orientation >= 5:
        image = image.transpose(1, 0, 2)
    return np.ascontiguousarray(image)
