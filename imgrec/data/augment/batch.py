"""Training augmentation of small images, a whole batch at a time: shift, flip, cutout, as array operations.

A library that augments one image after the other needs 100 us for an image of 32 px, most of it for calls. Here a batch
costs a few dozen calls, whatever its size, and every draw is keyed by (seed, epoch, sample index).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from imgrec.core.config.checks import check_count, check_number
from imgrec.data.augment.philox import UInt32Array, keyed_integers
from imgrec.data.samples import Images, ImagesView, UInt8Array
from imgrec.errors import ConfigError

__all__ = ["BatchAugment", "BatchDraws", "gather", "happens"]

_UPPER = 1 << 32  # random integers are uniform below it


class Stream(IntEnum):
    """The random numbers of each transform, so that switching one off does not change the draws of the others."""

    SHIFT = 0
    FLIP = 1
    CUTOUT = 2


@dataclass(frozen=True)
class BatchDraws:
    """The random draws for a batch of N images.

    Attributes:
        shift: int64 (2, N), pixels down and to the right.
        flip: bool (N,).
        hit: int64 (K,), the images that get a hole.
        hole: int64 (2, K), top and left pixel of each hole.
    """

    shift: NDArray[np.int64]
    flip: NDArray[np.bool_]
    hit: NDArray[np.int64]
    hole: NDArray[np.int64]


@dataclass(frozen=True)
class BatchAugment:
    """Shift, then flip left and right, then cutout: the usual recipe for images of 64 px and less.

    The result for an image is a pure function of (seed, epoch, sample index), whatever else is in its batch.

    Args:
        shift_px: Pixels up, down, left and right, at most; each of the (2 * shift_px + 1)**2 places is equally likely,
            and the border is mirrored (pad and crop: He et al. 2015, section 4.2).
        flip: Probability, 0 to 1.
        cutout: Probability, 0 to 1 (DeVries and Taylor 2017, but the hole never crosses the border).
        cutout_part: Side of the hole as a fraction of height and width.
        fill: Red, green and blue of the hole, 0-255. The default is the ImageNet mean.

    Raises:
        ConfigError: A value out of range.
    """

    shift_px: int = 0
    flip: float = 0.0
    cutout: float = 0.0
    cutout_part: float = 0.25
    fill: Sequence[int] = (124, 116, 104)
    after: ClassVar[Literal["batch"]] = "batch"

    def __post_init__(self) -> None:
        object.__setattr__(self, "fill", tuple(self.fill))  # Hydra and JSON bring lists of their own kinds
        check_count("augment.shift_px", self.shift_px, at_least=0)
        check_number("augment.flip", self.flip, at_least=0, at_most=1)
        check_number("augment.cutout", self.cutout, at_least=0, at_most=1)
        check_number("augment.cutout_part", self.cutout_part, above=0, at_most=1)
        if len(self.fill) != 3:
            raise ConfigError(f"augment.fill={list(self.fill)}, but it must be [red, green, blue].")
        for value in self.fill:
            check_count("augment.fill", value, at_least=0, at_most=255)

    def __call__(self, images: UInt8Array, /, *, seed: int, epoch: int, indices: NDArray[np.int64]) -> UInt8Array:
        """Augment N images.

        Args:
            images: uint8 (N, H, W, 3) in any memory layout; they are not changed.
            seed: Of the run.
            epoch: Number of the epoch.
            indices: int64 (N,), indices of the samples.

        Returns:
            uint8 (N, H, W, 3) in new memory, laid out as (N, 3, H, W): its `.transpose(0, 3, 1, 2)` is contiguous, so
            that a batch needs no other copy, and flipping is four times as fast.

        Raises:
            ConfigError: Images not larger than the shift.
        """
        height, width = images.shape[1:3]
        if min(height, width) <= self.shift_px:
            raise ConfigError(
                f"augment.shift_px={self.shift_px}, but the images are {height}x{width} px (height x width), and no "
                "more than their own pixels can be mirrored. Set it lower, or 0 for none."
            )
        draws = self.draw(height, width, seed=seed, epoch=epoch, indices=indices)
        planes = _shifted(images.transpose(0, 3, 1, 2), draws.shift, margin=self.shift_px)
        mirrored = np.flatnonzero(draws.flip)
        planes[mirrored] = planes[mirrored][..., ::-1]
        _cut_out(planes, draws, self._hole_size(height, width), self.fill)
        return planes.transpose(0, 2, 3, 1)

    def draw(self, height: int, width: int, *, seed: int, epoch: int, indices: NDArray[np.int64]) -> BatchDraws:
        """Return the draws for the images `indices`, of height x width pixels, in `epoch`."""
        drawn = keyed_integers(seed=seed, epoch=epoch, indices=indices, streams=len(Stream))
        hole_height, hole_width = self._hole_size(height, width)
        hit = np.flatnonzero(happens(drawn[Stream.CUTOUT, 0], self.cutout))
        top, left = drawn[Stream.CUTOUT, 1:3, hit].T
        return BatchDraws(
            shift=_below(drawn[Stream.SHIFT, :2], 2 * self.shift_px + 1) - self.shift_px,
            flip=happens(drawn[Stream.FLIP, 0], self.flip),
            hit=hit,
            hole=np.stack([_below(top, height - hole_height + 1), _below(left, width - hole_width + 1)]),
        )

    def _hole_size(self, height: int, width: int) -> tuple[int, int]:
        return max(1, round(height * self.cutout_part)), max(1, round(width * self.cutout_part))


def gather(images: Images, indices: NDArray[np.int64]) -> UInt8Array:
    """Return images of one size as uint8 (N, H, W, 3): at once where the collection can (`batch`), else one by one.

    Raises:
        ValueError: Images of different sizes.
        ImageError: An image that cannot be read.
    """
    if isinstance(images, ImagesView):
        return gather(images.images, np.asarray(images.indices, dtype=np.int64)[indices])
    batch = getattr(images, "batch", None)
    if batch is not None:
        result: UInt8Array = batch(indices)
        return result
    return np.stack([images[int(index)] for index in indices])


def happens(drawn: UInt32Array, probability: float) -> NDArray[np.bool_]:
    """Return for each random integer whether an event of this probability occurs: never for 0, always for 1."""
    return drawn < np.uint64(round(probability * _UPPER))  # 64 bits: 1 is 2**32 here, above every integer


def _below(drawn: UInt32Array, bound: int) -> NDArray[np.int64]:
    """Return whole numbers 0 to `bound` - 1. Some are likelier than others by at most bound / 2**32: 2e-9 for 9."""
    return (drawn.astype(np.uint64) * np.uint64(bound) >> np.uint64(32)).astype(np.int64)


def _shifted(planes: UInt8Array, shift: NDArray[np.int64], *, margin: int) -> UInt8Array:
    """Return each image of (N, 3, H, W) moved by its own shift (2, N), at most `margin`: a window of the padded image.

    Always new memory, which the caller may change.
    """
    if not margin:
        return np.array(planes, order="C")
    padded = _padded(planes, margin)
    windows = sliding_window_view(padded, planes.shape[2:], axis=(2, 3))
    shifted: UInt8Array = windows[np.arange(len(planes)), :, margin - shift[0], margin - shift[1]]
    return shifted


def _padded(planes: UInt8Array, margin: int) -> UInt8Array:
    """Return `np.pad(..., mode="reflect")` of height and width, in half the time."""
    n, channels, height, width = planes.shape
    padded = np.empty((n, channels, height + 2 * margin, width + 2 * margin), dtype=np.uint8)
    padded[:, :, margin:-margin, margin:-margin] = planes
    padded[:, :, :margin] = padded[:, :, 2 * margin : margin : -1]
    padded[:, :, -margin:] = padded[:, :, -margin - 2 : -2 * margin - 2 : -1]
    for step in range(1, margin + 1):  # column by column: one long loop inside numpy each, not many of four bytes
        padded[..., margin - step] = padded[..., margin + step]
        padded[..., -margin - 1 + step] = padded[..., -margin - 1 - step]
    return padded


def _cut_out(planes: UInt8Array, draws: BatchDraws, size: tuple[int, int], fill: Sequence[int]) -> None:
    """Fill the holes of (N, 3, H, W) in place."""
    windows = sliding_window_view(planes, size, axis=(2, 3), writeable=True)
    windows[draws.hit, :, draws.hole[0], draws.hole[1]] = np.array(fill, dtype=np.uint8)[:, None, None]
