"""Compare thumbnails: lay one over the other, as a crop of it if need be, and tell how alike their details are.

A perceptual hash says that two images are alike in the large, as two chest X-rays are. Copies are alike in what is
small too. So what is compared is the thumbnail less a blurred copy of itself, and since a shift by one pixel would
already spoil that, the two are first aligned (Lucas and Kanade 1981; Baker and Matthews 2004, section 2, with scale and
shift along each axis as the warp). Brightness and contrast cancel out in the correlation.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imgrec.auditing.scan.facts import THUMBNAIL_PX
from imgrec.data.samples import UInt8Array

__all__ = ["Alikeness", "align", "compare", "warps_of"]

Floats = NDArray[np.float32]

STEPS = 5
MAX_SCALE, MAX_SHIFT_PX = 1.25, 4.0
# Variance of a thumbnail's rounding and of compression, gray levels squared: what is no stronger counts little.
NOISE = 0.1

_CENTER = (THUMBNAIL_PX - 1) / 2
_PLACES = np.arange(THUMBNAIL_PX, dtype=np.float32)


@dataclass(frozen=True)
class Alikeness:
    """How alike N pairs of thumbnails are, each float32 (N,): correlations from -1 to 1.

    whole: of the gray values. detail: of what remains without the blurred copy.
    """

    whole: Floats
    detail: Floats


def warps_of(boxes: NDArray[np.float64]) -> Floats:
    """Return the warps (N, 4) that lay the parts `boxes` (N, 4: left, top, right, bottom, as shares) over the whole.

    A warp is scale and shift in pixels down, then across; (1, 0, 1, 0) changes nothing.
    """
    left, top, right, bottom = boxes.T
    shift = [((low + high) / 2 - 0.5) * THUMBNAIL_PX for low, high in ((top, bottom), (left, right))]
    return np.stack([bottom - top, shift[0], right - left, shift[1]], axis=1).astype(np.float32)


def compare(first: UInt8Array, second: UInt8Array, warps: Floats) -> Alikeness:
    """Return how alike the `first` thumbnails, uint8 (N, 32, 32), are under their warps to the `second`."""
    laid, under = _warped(first.astype(np.float32), warps), second.astype(np.float32)
    whole = np.einsum("nk,nk->n", _normalised(laid, 0), _normalised(under, 0))
    detail = np.einsum("nk,nk->n", _normalised(_detail(laid), NOISE), _normalised(_detail(under), NOISE))
    return Alikeness(whole, detail)


def align(first: UInt8Array, second: UInt8Array, warps: Floats) -> Floats:
    """Return warps (N, 4) that lay `first` over `second` as well as can be, found from `warps` on by Gauss-Newton."""
    moved, target = first.astype(np.float32), _normalised(second.astype(np.float32), 0)
    longest = np.array([0.05, 1.0, 0.05, 1.0], np.float32)  # a step beyond this leaves what a slope can tell
    lowest = np.array([1 / MAX_SCALE, -MAX_SHIFT_PX] * 2, np.float32)
    highest = np.array([MAX_SCALE, MAX_SHIFT_PX] * 2, np.float32)
    for _ in range(STEPS):
        laid = _warped(moved, warps)
        steps = _least_squares(_slopes(laid, warps), target - _normalised(laid, 0))
        warps = np.clip(warps + np.clip(steps, -longest, longest), lowest, highest)
    return warps


def _slopes(laid: Floats, warps: Floats) -> Floats:
    """Return how the normalised images, as rows (N, K), change with each number of their warps: (N, 4, K)."""
    down = np.gradient(laid, axis=1) / warps[:, 0, None, None]
    across = np.gradient(laid, axis=2) / warps[:, 2, None, None]
    offset = _PLACES - _CENTER
    changes = np.stack([down * offset[:, None], down, across * offset, across], axis=1).reshape(len(laid), 4, -1)
    rows = laid.reshape(len(laid), -1)
    length = np.sqrt(np.maximum(rows.var(axis=1) * rows.shape[1], 1e-6))[:, None, None]
    changes = (changes - changes.mean(axis=2, keepdims=True)) / length
    unit = _normalised(laid, 0)[:, None]
    slopes: Floats = changes - (changes @ unit.transpose(0, 2, 1)) * unit  # the length stays 1
    return slopes


def _least_squares(slopes: Floats, rest: Floats) -> Floats:
    """Return the steps (N, 4) that change the rows by `rest` (N, K) as nearly as can be."""
    squares = slopes @ slopes.transpose(0, 2, 1)
    # Where there is nothing to hold on to, as across an image of stripes, stay: ridge regression.
    ridge = 1e-4 * np.trace(squares, axis1=1, axis2=2) + 1e-9
    squares = squares + ridge[:, None, None] * np.eye(4, dtype=np.float32)
    steps = np.linalg.solve(squares, slopes @ rest[:, :, None])[:, :, 0]
    return np.asarray(steps, np.float32)


def _warped(images: Floats, warps: Floats) -> Floats:
    """Sample each image (N, 32, 32) where its warp says; beyond its edges it goes on as at them."""
    down, across = _sampling(warps[:, 0], warps[:, 1]), _sampling(warps[:, 2], warps[:, 3])
    return np.asarray(down @ images @ across.transpose(0, 2, 1), np.float32)


def _sampling(scale: Floats, shift: Floats) -> Floats:
    """Return matrices (N, 32, 32) whose row i weighs the pixels around which place i falls.

    Keys 1981, "Cubic Convolution Interpolation for Digital Image Processing", eq. 15: linear weights would blur away
    the very detail that is compared.
    """
    places = (_PLACES - _CENTER) * scale[:, None] + (_CENTER + shift[:, None])
    away = np.abs(np.clip(places, 0, THUMBNAIL_PX - 1)[:, :, None] - _PLACES)
    near, far = (1.5 * away - 2.5) * away**2 + 1, ((-0.5 * away + 2.5) * away - 4) * away + 2
    weights = np.where(away < 1, near, np.where(away < 2, far, 0))
    return np.asarray(weights / weights.sum(axis=2, keepdims=True), np.float32)  # the edge lacks neighbours


def _detail(images: Floats) -> Floats:
    """Return the images less their blur by (1 2 1) / 4 along both axes, without the rim: (N, 30, 30)."""
    down = (images[:, :-2] + 2 * images[:, 1:-1] + images[:, 2:]) / 4
    blurred = (down[:, :, :-2] + 2 * down[:, :, 1:-1] + down[:, :, 2:]) / 4
    return np.asarray(images[:, 1:-1, 1:-1] - blurred, np.float32)


def _normalised(images: Floats, noise: float) -> Floats:
    """Return the images as rows (N, K) of mean 0 and length 1, or less where `noise` is a part of their variance."""
    rows = images.reshape(len(images), -1)
    rows = rows - rows.mean(axis=1, keepdims=True)
    squares = np.einsum("nk,nk->n", rows, rows) + noise * rows.shape[1]
    return np.asarray(rows / np.sqrt(np.maximum(squares, 1e-6))[:, None], np.float32)
