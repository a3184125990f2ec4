"""Deterministic views of preprocessed images: mirrored, shifted, zoomed in."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from torch import Tensor
from torch.nn import functional

__all__ = ["View", "take_view", "views_of"]


@dataclass(frozen=True)
class View:
    """One view of an image.

    Attributes:
        scale: Zoom factor, 1 for none.
        shift: (down, right) as shares of the side.
        is_mirrored: Whether left and right are swapped.
    """

    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    is_mirrored: bool = False


def views_of(*, mirror: bool, shift: float, scales: Sequence[float]) -> list[View]:
    """Return for every scale the unshifted view and those shifted along both diagonals, each also mirrored.

    The first is the plain image, where 1 is among the scales.
    """
    shifts = [(0.0, 0.0)]
    if shift:
        shifts += [(down * shift, right * shift) for down, right in product((-1, 1), repeat=2)]
    sides = (False, True) if mirror else (False,)
    return [View(scale, place, side) for scale in sorted(scales) for place in shifts for side in sides]


def take_view(images: Tensor, view: View) -> Tensor:
    """Return one view of images uint8 (N, 3, H, W): float32 of 0 to 255 where pixels are interpolated, else uint8."""
    height, width = images.shape[-2:]
    if view.scale != 1:
        images = _zoomed(images, view.scale)
    down, right = round(view.shift[0] * height), round(view.shift[1] * width)
    if down or right:
        images = _shifted(images, down=down, right=right)
    return images.flip(-1) if view.is_mirrored else images


def _zoomed(images: Tensor, scale: float) -> Tensor:
    """Return the centre of images, resized to their own size, bilinear."""
    height, width = images.shape[-2:]
    rows, columns = max(1, round(height / scale)), max(1, round(width / scale))
    top, left = (height - rows) // 2, (width - columns) // 2
    middle = images[..., top : top + rows, left : left + columns].float()
    return functional.interpolate(middle, size=(height, width), mode="bilinear", align_corners=False)


def _shifted(images: Tensor, *, down: int, right: int) -> Tensor:
    """Return images shifted by whole pixels, the gap filled by reflection."""
    height, width = images.shape[-2:]
    reach = max(abs(down), abs(right))
    padded = functional.pad(images.float(), (reach,) * 4, mode="reflect").to(images.dtype)
    return padded[..., reach - down : reach - down + height, reach - right : reach - right + width]
