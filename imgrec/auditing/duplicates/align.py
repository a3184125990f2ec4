"""Align pairs of thumbnails and correlate their details.

Equal perceptual hashes only say that two images have the same coarse structure, as any two chest X-rays do. Copies also
agree in detail: the thumbnail minus a blurred version of itself. A shift by one pixel would destroy that agreement, so
the two are aligned first (Lucas and Kanade 1981; Baker and Matthews 2004, section 2; the warp is scale and shift along
each axis). Brightness and contrast cancel out in the correlation.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imgrec.auditing.scan.facts import THUMBNAIL_PX
from imgrec.data.samples import UInt8Array

__all__ = ["Similarity", "align", "compare", "warps_of"]

Floats = NDArray[np.float32]

STEPS = 5
MAX_SCALE, MAX_SHIFT_PX = 1.25, 4.0
# Variance of rounding and compression in a thumbnail, gray levels squared: weaker detail counts little.
NOISE = 0.1

_CENTER = (THUMBNAIL_PX - 1) / 2
_PLACES = np.arange(THUMBNAIL_PX, dtype=np.float32)


@dataclass(frozen=True)
class Similarity:
    """Correlations of N pairs of thumbnails, each float32 (N,), -1 to 1.

    Attributes:
        whole: Of the gray values.
        detail: Of the thumbnails minus their blurred versions.
    """

    whole: Floats
    detail: Floats


def warps_of(boxes: NDArray[np.float64]) -> Floats:
    """Return the warps (N, 4) that map crops `boxes` (N, 4: left, top, right, bottom, as shares) to the whole image.

    A warp is (scale, shift in pixels) along y, then along x; (1, 0, 1, 0) is the identity.
    """
    left, top, right, bottom = boxes.T
    shift = [((low + high) / 2 - 0.5) * THUMBNAIL_PX for low, high in ((top, bottom), (left, right))]
    return np.stack([bottom - top, shift[0], right - left, shift[1]], axis=1).astype(np.float32)


def compare(first: UInt8Array, second: UInt8Array, warps: Floats) -> Similarity:
    """Correlate the `first` thumbnails, uint8 (N, 32, 32), under their warps, with the `second` ones."""
    warped, other = _warped(first.astype(np.float32), warps), second.astype(np.float32)
    whole = np.einsum("nk,nk->n", _normalised(warped, 0), _normalised(other, 0))
    detail = np.einsum("nk,nk->n", _normalised(_detail(warped), NOISE), _normalised(_detail(other), NOISE))
    return Similarity(whole, detail)


def align(first: UInt8Array, second: UInt8Array, warps: Floats) -> Floats:
    """Return the warps (N, 4) that best map `first` to `second`, by Gauss-Newton steps from `warps`."""
    moved, target = first.astype(np.float32), _normalised(second.astype(np.float32), 0)
    longest = np.array([0.05, 1.0, 0.05, 1.0], np.float32)  # the linearisation holds for steps up to this
    lowest = np.array([1 / MAX_SCALE, -MAX_SHIFT_PX] * 2, np.float32)
    highest = np.array([MAX_SCALE, MAX_SHIFT_PX] * 2, np.float32)
    for _ in range(STEPS):
        warped = _warped(moved, warps)
        steps = _least_squares(_slopes(warped, warps), target - _normalised(warped, 0))
        warps = np.clip(warps + np.clip(steps, -longest, longest), lowest, highest)
    return warps


def _slopes(warped: Floats, warps: Floats) -> Floats:
    """Return the derivatives (N, 4, K) of the normalised images, as rows (N, K), by the parameters of their warps."""
    down = np.gradient(warped, axis=1) / warps[:, 0, None, None]
    across = np.gradient(warped, axis=2) / warps[:, 2, None, None]
    offset = _PLACES - _CENTER
    changes = np.stack([down * offset[:, None], down, across * offset, across], axis=1).reshape(len(warped), 4, -1)
    rows = warped.reshape(len(warped), -1)
    length = np.sqrt(np.maximum(rows.var(axis=1) * rows.shape[1], 1e-6))[:, None, None]
    changes = (changes - changes.mean(axis=2, keepdims=True)) / length
    unit = _normalised(warped, 0)[:, None]
    slopes: Floats = changes - (changes @ unit.transpose(0, 2, 1)) * unit  # the length stays 1
    return slopes


def _least_squares(slopes: Floats, rest: Floats) -> Floats:
    """Return the least-squares steps (N, 4) that change the rows by `rest` (N, K)."""
    squares = slopes @ slopes.transpose(0, 2, 1)
    # Ridge regression: no step along a direction without structure, as in an image of stripes.
    ridge = 1e-4 * np.trace(squares, axis1=1, axis2=2) + 1e-9
    squares = squares + ridge[:, None, None] * np.eye(4, dtype=np.float32)
    steps = np.linalg.solve(squares, slopes @ rest[:, :, None])[:, :, 0]
    return np.asarray(steps, np.float32)


def _warped(images: Floats, warps: Floats) -> Floats:
    """Resample each image (N, 32, 32) by its warp, with the edge values beyond the edges."""
    down, across = _sampling(warps[:, 0], warps[:, 1]), _sampling(warps[:, 2], warps[:, 3])
    return np.asarray(down @ images @ across.transpose(0, 2, 1), np.float32)


def _sampling(scale: Floats, shift: Floats) -> Floats:
    """Return matrices (N, 32, 32) whose row i has the interpolation weights of output pixel i.

    Keys 1981, "Cubic Convolution Interpolation for Digital Image Processing", eq. 15: linear interpolation would blur
    the detail that is compared.
    """
    places = (_PLACES - _CENTER) * scale[:, None] + (_CENTER + shift[:, None])
    away = np.abs(np.clip(places, 0, THUMBNAIL_PX - 1)[:, :, None] - _PLACES)
    near, far = (1.5 * away - 2.5) * away**2 + 1, ((-0.5 * away + 2.5) * away - 4) * away + 2
    weights = np.where(away < 1, near, np.where(away < 2, far, 0))
    return np.asarray(weights / weights.sum(axis=2, keepdims=True), np.float32)  # at the edge, neighbours are missing


def _detail(images: Floats) -> Floats:
    """Return the images minus their blur by (1 2 1) / 4 along both axes, without the border: (N, 30, 30)."""
    down = (images[:, :-2] + 2 * images[:, 1:-1] + images[:, 2:]) / 4
    blurred = (down[:, :, :-2] + 2 * down[:, :, 1:-1] + down[:, :, 2:]) / 4
    return np.asarray(images[:, 1:-1, 1:-1] - blurred, np.float32)


def _normalised(images: Floats, noise: float) -> Floats:
    """Return the images as rows (N, K) of mean 0 and length 1, shorter by the share of `noise` in their variance."""
    rows = images.reshape(len(images), -1)
    rows = rows - rows.mean(axis=1, keepdims=True)
    squares = np.einsum("nk,nk->n", rows, rows) + noise * rows.shape[1]
    return np.asarray(rows / np.sqrt(np.maximum(squares, 1e-6))[:, None], np.float32)
