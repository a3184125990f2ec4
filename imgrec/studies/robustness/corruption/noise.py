"""Noise: Gaussian, shot, impulse. Images float32 (H, W, 3), 0 to 1; results may leave this range."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

__all__ = ["gaussian_noise", "impulse_noise", "shot_noise"]

FloatImage = NDArray[np.float32]


def gaussian_noise(image: FloatImage, rng: Generator, scale: float) -> FloatImage:
    """Add Gaussian noise of standard deviation `scale`."""
    return image + np.float32(scale) * rng.standard_normal(image.shape, dtype=np.float32)


def shot_noise(image: FloatImage, rng: Generator, photons: float) -> FloatImage:
    """Draw every value from a Poisson distribution, with `photons` as the mean count of a value of 1."""
    return (rng.poisson(image * np.float32(photons)) / photons).astype(np.float32)


def impulse_noise(image: FloatImage, rng: Generator, amount: float) -> FloatImage:
    """Set a share `amount` of all values to 0 or 1 with equal probability, each channel by itself (salt and pepper)."""
    draws = rng.random(image.shape, dtype=np.float32)
    salted = np.where(draws < amount / 2, np.float32(0), image)
    return np.where(draws > 1 - amount / 2, np.float32(1), salted)
