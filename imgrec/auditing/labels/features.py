"""Handcrafted image features: edges, colours and a small copy, computed from 32 x 32 pixels.

They need no weights and no GPU, and cost 0.3 ms per image besides decoding. On small centred images (digits, clothes,
signs) they are nearly as good as those of a trained model; on photographs they are poor, see `backbone_features`.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imgrec.core.keyed_random import shuffled
from imgrec.core.system.worker_pool import default_workers
from imgrec.data.images.lazy_image import open_image
from imgrec.data.samples import Images, UInt8Array

__all__ = ["SIDE_PX", "describe_images", "handcrafted_features", "read_small", "reduce_features"]

SIDE_PX = 32
NUM_COMPONENTS = 128  # of the principal component analysis
SAMPLE_SIZE = 8192  # images that the components are computed from
CHUNK = 1024  # images in memory at a time: 1024 x 1056 float32 are 4.3 MB

_CELL_PX = 4
_NUM_ANGLES = 8
_CLIP = 0.2  # limit of one gradient in its neighbourhood: Dalal and Triggs 2005, section 6.4

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
Describe = Callable[[IntArray], FloatArray]  # positions (n,) -> features (n, D)


def handcrafted_features(images: Images, indices: Sequence[int] | IntArray, *, seed: int) -> FloatArray:
    """Return handcrafted features of the images at `indices` (n,), each decoded once.

    Returns:
        float32 (n, d), d at most 128: principal components of `describe_images`; the same for the same seed.

    Raises:
        ImageError: An image cannot be decoded.
    """
    places = np.asarray(indices, dtype=np.int64)
    return reduce_features(lambda rows: describe_images(read_small(images, places[rows])), len(places), seed=seed)


def read_small(images: Images, indices: IntArray, *, side_px: int = SIDE_PX) -> UInt8Array:
    """Return images resized to a square with anti-aliasing: uint8 (n, side_px, side_px, 3)."""

    def read(index: int) -> UInt8Array:
        image = open_image(images, index)
        height, width = image.height_width
        return image.window((0, 0, width, height), size=(side_px, side_px))

    # Decoders release the GIL, so threads help.
    with ThreadPoolExecutor(default_workers()) as pool:
        return np.stack(list(pool.map(read, indices.tolist())))


def describe_images(images: UInt8Array) -> FloatArray:
    """Return the features of each image: uint8 (n, 32, 32, 3) -> float32 (n, 1056).

    512 histograms of oriented gradients (8 directions, 8 x 8 cells), 256 gray values of a 16 x 16 copy normalised for
    brightness and contrast, 192 colours of an 8 x 8 copy, and 96 colour histogram bins (32 per channel).
    """
    pixels: FloatArray = images.astype(np.float32) / np.float32(255)  # (n, 32, 32, 3)
    gray: FloatArray = pixels @ np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601
    parts = [_edges(gray), _contrast_free(_pooled(gray[..., None], 2)), _pooled(pixels, 4), _levels(images)]
    return np.concatenate([part.reshape(len(images), -1) for part in parts], axis=1)


def _edges(gray: FloatArray) -> FloatArray:
    """Histograms of oriented gradients (n, 8, 8, 8), normalised by their neighbourhood. After Dalal and Triggs 2005."""
    padded = np.pad(gray, ((0, 0), (1, 1), (1, 1)), mode="edge")
    across = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    down = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    strength = np.hypot(across, down)
    angle = (np.arctan2(down, across) / np.pi % 1.0) * _NUM_ANGLES  # 0 to 8; opposite directions are equal
    lower = np.floor(angle)
    upper_share = angle - lower
    cells = []
    for direction in range(_NUM_ANGLES):
        # A gradient between two directions is shared by both.
        share = np.where(lower % _NUM_ANGLES == direction, 1 - upper_share, 0)
        share += np.where((lower + 1) % _NUM_ANGLES == direction, upper_share, 0)
        cells.append(_pooled((strength * share)[..., None], _CELL_PX)[..., 0])
    histograms = np.stack(cells, axis=-1).astype(np.float32)  # (n, 8, 8, 8)
    energy = np.pad((histograms**2).sum(axis=-1), ((0, 0), (1, 1), (1, 1)), mode="edge")
    around = _blocks_of_two(energy)  # (n, 9, 9): every 2 x 2 block of cells
    corners = (around[:, :-1, :-1], around[:, :-1, 1:], around[:, 1:, :-1], around[:, 1:, 1:])
    total = np.zeros_like(histograms)
    for block in corners:
        total += np.minimum(histograms / np.sqrt(block + 1e-4)[..., None], _CLIP)
    return total / np.float32(len(corners))


def _blocks_of_two(values: FloatArray) -> FloatArray:
    blocks: FloatArray = values[:, :-1, :-1] + values[:, :-1, 1:] + values[:, 1:, :-1] + values[:, 1:, 1:]
    return blocks


def _pooled(values: FloatArray, by: int) -> FloatArray:
    """Mean of squares of `by` pixels: (n, H, W, C) -> (n, H / by, W / by, C)."""
    count, height, width, channels = values.shape
    means: FloatArray = values.reshape(count, height // by, by, width // by, by, channels).mean(axis=(2, 4))
    return means


def _contrast_free(gray: FloatArray) -> FloatArray:
    flat = gray.reshape(len(gray), -1)
    centred = flat - flat.mean(axis=1, keepdims=True)
    spread = 4 * centred.std(axis=1, keepdims=True) + np.float32(0.1)  # 0.1: a flat image stays near 0
    return np.asarray(centred / spread, dtype=np.float32)


def _levels(images: UInt8Array) -> FloatArray:
    """Return histograms of 32 levels per channel (n, 96), as square roots."""
    count = len(images)
    level = images.reshape(count, -1, 3) >> 3
    place = level.astype(np.int64) + 32 * np.arange(3) + 96 * np.arange(count)[:, None, None]
    counts = np.bincount(place.ravel(), minlength=96 * count).reshape(count, 96)
    return np.asarray(np.sqrt(counts / level.shape[1]), dtype=np.float32)


@dataclass(frozen=True)
class _Components:
    """Principal components: (features - mean) @ directions."""

    mean: FloatArray  # (D,)
    directions: FloatArray  # (D, d)

    def __call__(self, features: FloatArray) -> FloatArray:
        return np.asarray((features - self.mean) @ self.directions, dtype=np.float32)


def reduce_features(describe: Describe, count: int, *, seed: int) -> FloatArray:
    """Return the principal components of the features of `count` images, chunk by chunk: float32 (count, d), d <= 128.

    The components are computed from a seeded sample of 8192 images, which bounds the memory.
    """
    if count == 0:
        return np.empty((0, 0), dtype=np.float32)
    order = shuffled(count, seed)
    sample, others = np.sort(order[:SAMPLE_SIZE]), np.sort(order[SAMPLE_SIZE:])
    described = np.concatenate([describe(rows) for rows in _chunks(sample)])
    components = _principal(described)
    reduced = np.empty((count, components.directions.shape[1]), dtype=np.float32)
    reduced[sample] = components(described)
    for rows in _chunks(others):
        reduced[rows] = components(describe(rows))
    return reduced


def _chunks(rows: IntArray) -> Iterator[IntArray]:
    for start in range(0, len(rows), CHUNK):
        yield rows[start : start + CHUNK]


def _principal(features: FloatArray) -> _Components:
    """Compute the components from the covariance, D x D for any number of images."""
    mean = features.mean(axis=0)
    centred = features - mean
    _, vectors = np.linalg.eigh((centred.T @ centred).astype(np.float64))
    kept = min(NUM_COMPONENTS, len(features), features.shape[1])
    directions = vectors[:, ::-1][:, :kept]
    return _Components(mean, np.ascontiguousarray(directions, dtype=np.float32))
