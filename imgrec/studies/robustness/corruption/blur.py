"""Blur: defocus, glass, motion, zoom. Images float32 (H, W, C), 0 to 1."""

from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

__all__ = ["defocus_blur", "glass_blur", "motion_blur", "smear", "zoom_blur", "zoomed"]

FloatImage = NDArray[np.float32]


def defocus_blur(image: FloatImage, rng: Generator, radius: float, softness: float) -> FloatImage:
    """Average over a disk of `radius` px whose edge is smoothed by a Gaussian of `softness` px."""
    del rng
    reach = max(8, int(np.ceil(radius)))
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disk = np.asarray(rows**2 + columns**2 <= radius**2).astype(np.float32)
    size = 3 if radius <= 8 else 5
    kernel = np.asarray(cv2.GaussianBlur(disk / disk.sum(), (size, size), softness), dtype=np.float32)
    return _filtered(image, kernel, border=cv2.BORDER_REFLECT_101)


def glass_blur(image: FloatImage, rng: Generator, sigma: float, reach: int, rounds: int) -> FloatImage:
    """Blur by a Gaussian of `sigma` px, swap pixels with neighbours up to `reach` px away, blur again."""
    height, width = image.shape[:2]
    rows, columns = np.mgrid[0:height, 0:width]
    seen = _gaussian(image, sigma)
    for _ in range(rounds):
        from_row = np.clip(rows + rng.integers(-reach, reach + 1, rows.shape), 0, height - 1)
        from_column = np.clip(columns + rng.integers(-reach, reach + 1, rows.shape), 0, width - 1)
        seen = seen[from_row, from_column]
    return _gaussian(np.ascontiguousarray(seen), sigma)


def motion_blur(image: FloatImage, rng: Generator, radius: int, sigma: float) -> FloatImage:
    """Blur along a line within 45 degrees of the horizontal."""
    return smear(image, radius=radius, sigma=sigma, degrees=rng.uniform(-45, 45))


def smear(image: FloatImage, *, radius: int, sigma: float, degrees: float) -> FloatImage:
    """Blur to one side over 2 `radius` px, with weights of a Gaussian of `sigma` px."""
    steps = np.arange(2 * radius + 1)
    weights = np.exp(-(steps**2) / (2 * sigma**2))
    angle = np.deg2rad(degrees)
    reach = 2 * radius + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), dtype=np.float32)
    rows, columns = reach + steps * np.sin(angle), reach + steps * np.cos(angle)
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    down, right = rows - top, columns - left
    for add_row, row_share in ((0, 1 - down), (1, down)):  # a point between pixels is shared among the four around it
        for add_column, column_share in ((0, 1 - right), (1, right)):
            np.add.at(kernel, (top + add_row, left + add_column), weights * row_share * column_share)
    return _filtered(image, _trimmed(kernel / kernel.sum()), border=cv2.BORDER_REPLICATE)


def zoom_blur(image: FloatImage, rng: Generator, last: float, step: float) -> FloatImage:
    """Average the image with itself zoomed in by 1, 1 + `step`, ..., `last`."""
    del rng
    factors = 1 + step * np.arange(round((last - 1) / step) + 1)
    total = image.copy()
    for factor in factors:
        total += zoomed(image, float(factor))
    return total / np.float32(len(factors) + 1)


def zoomed(image: FloatImage, factor: float) -> FloatImage:
    """Zoom into the centre of an image by `factor`, at the same size."""
    height, width = image.shape[:2]
    shift = ((width - 1) / 2 * (1 - factor), (height - 1) / 2 * (1 - factor))
    matrix = np.array([[factor, 0, shift[0]], [0, factor, shift[1]]], dtype=np.float64)
    made = cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(made, dtype=np.float32)


def _gaussian(image: FloatImage, sigma: float) -> FloatImage:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), dtype=np.float32)


def _filtered(image: FloatImage, kernel: FloatImage, *, border: int) -> FloatImage:
    return np.asarray(cv2.filter2D(image, -1, kernel, borderType=border), dtype=np.float32)


def _trimmed(kernel: NDArray[Any]) -> FloatImage:
    """Crop outer rings of zeros from the kernel: the cost of the filter grows with its size."""
    middle = len(kernel) // 2
    used = np.abs(np.argwhere(kernel > 1e-6 * kernel.max()) - middle).max()
    return kernel[middle - used : middle + used + 1, middle - used : middle + used + 1].astype(np.float32)
