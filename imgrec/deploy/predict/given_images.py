"""Images as a program gives them (paths, bytes, PIL images, arrays, folders, patterns), as items to be read in turn."""

import glob
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imgrec.data.images.lazy_image import DecodedImage, LazyImage, image_from_bytes
from imgrec.data.images.limits import refuse_too_small
from imgrec.data.samples import UInt8Array
from imgrec.deploy.predict.item import Item
from imgrec.errors import DataError, ImageError

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

__all__ = ["check_kind", "is_single", "items_of"]

_WILD = "*?["
_ORIENTATION = 0x0112  # tag of EXIF


def is_single(images: Any) -> bool:
    """Return whether this is one image, not many."""
    if isinstance(images, str | Path):
        return not (Path(images).is_dir() or (set(_WILD) & set(str(images)) and not Path(images).exists()))
    if isinstance(images, np.ndarray):
        return images.ndim == 3
    return isinstance(images, bytes | bytearray | memoryview) or _is_pil(images)


def check_kind(images: Any) -> None:
    """Refuse what would be taken apart into things that are no images."""
    kind = type(images).__name__
    if isinstance(images, str) and not images:
        raise DataError("'' is an empty path.")
    if hasattr(images, "read") and not _is_pil(images):
        raise DataError(f"A value of type {kind} is an open file. Give its bytes: file.read().")
    if type(images).__module__.partition(".")[0] == "torch":
        raise DataError("A tensor is no image here. Give a uint8 array: tensor.permute(1, 2, 0).cpu().numpy().")
    if isinstance(images, Mapping):
        raise DataError("A mapping is not a list of images. Give its values: list(images.values()).")
    if isinstance(images, np.ndarray):
        _check_array(images, "images" if images.ndim == 4 else "image")
    elif not isinstance(images, str | Path | Iterable) and not _is_pil(images):
        raise DataError(f"A value of type {kind} is neither an image nor a list of images.")


def _check_array(images: NDArray[Any], name: str) -> None:
    """Refuse an array of another type or shape than uint8 (H, W, 3) or (N, H, W, 3), with what to do."""
    if images.dtype == np.uint8 and images.ndim in (3, 4) and images.shape[-1] == 3:
        return
    remedy = ""
    if np.issubdtype(images.dtype, np.floating):
        remedy = " Values of 0 to 1: (image * 255).round().astype(np.uint8)."
    elif images.ndim == 2 or images.shape[-1:] == (1,):
        remedy = " Gray: np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)."
    elif images.ndim in (3, 4) and images.shape[-3] == 3:
        remedy = " Channels first: np.moveaxis(image, -3, -1)."
    elif images.shape[-1:] == (4,):
        remedy = " With transparency: Image.fromarray(image)."
    raise ImageError(
        name, "wrong_type", f"an array is uint8 (H, W, 3), RGB; this is {images.dtype} {images.shape}.{remedy}"
    )


def _is_pil(image: Any) -> bool:
    return type(image).__module__.startswith("PIL.") and hasattr(image, "convert")


def items_of(images: Any) -> Iterator[Item]:
    """Yield an item for each image: nothing is read before its turn."""
    if isinstance(images, str | Path):
        images = _files(str(images))
    for number, image in zip(count(), images, strict=False):
        name = str(image) if isinstance(image, str | Path) else ""
        yield Item(name, partial(_open, image, name or f"image {number}"))


def _files(place: str) -> Sequence[str]:
    from imgrec.data.sources.walk import Walk

    if Path(place).is_dir():
        (files,) = Walk(inside=[str(Path(place).resolve())]).files([place])
    else:
        files = sorted(name for name in glob.glob(place, recursive=True) if Path(name).is_file())  # noqa: PTH207
    if not files:
        raise DataError(f"{place}: no images there.")
    return files


def _open(image: Any, name: str) -> LazyImage:
    """Open one image. Raises: ImageError: it cannot be read. DataError: nothing that can be an image."""
    from imgrec.data.images.image import read_regular_file

    if isinstance(image, str | Path):
        return image_from_bytes(read_regular_file(Path(image)), name=name)
    if isinstance(image, bytes | bytearray | memoryview):
        return image_from_bytes(bytes(image), name=name)
    if _is_pil(image):
        return DecodedImage(_from_pil(image, name))
    if isinstance(image, np.ndarray) and image.ndim == 3:
        _check_array(image, name)
        refuse_too_small(image.shape[:2], name=name)
        return DecodedImage(image)
    kind = type(image).__name__
    raise ImageError(name, "wrong_type", f"a value of type {kind} is no image: give a path, bytes, PIL image or array")


def _from_pil(image: "PILImage", name: str) -> UInt8Array:
    """Return the pixels as reading its file would give them: lossless, so that one path decides all modes."""
    from io import BytesIO

    from PIL import Image

    from imgrec.data.images.image import decode_image

    data = BytesIO()
    try:
        image.load()  # first: Pillow turns a TIFF upright then, and drops the orientation from its EXIF
        orientation = image.getexif().get(_ORIENTATION, 1)
        if image.mode == "RGB" and orientation == 1:
            refuse_too_small(image.size, name=name)
            return np.asarray(image)
        exif = Image.Exif()
        exif[_ORIENTATION] = orientation
        image.save(data, "TIFF" if image.mode in ("CMYK", "YCbCr", "LAB", "F") else "PNG", exif=exif)
    except (OSError, SystemError, ValueError) as error:
        raise ImageError(name, "unsupported", f"PIL mode {image.mode}: {error}") from error
    return decode_image(data.getvalue(), name=name)
