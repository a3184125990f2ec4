"""Weather: snow, frost, fog, brightness. Images float32 (H, W, 3), 0 to 1; results may leave this range."""

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from imgrec.studies.robustness.corruption.blur import smear, zoomed

__all__ = ["brightness", "fog", "fractal", "frost", "snow"]

FloatImage = NDArray[np.float32]
ICE = np.array([0.86, 0.93, 1.0], dtype=np.float32)  # red, green, blue of thick frost
CRYSTAL_PX = 7  # pixels of the shorter side for one seed of a crystal


def snow(
    image: FloatImage,
    rng: Generator,
    mean: float,
    spread: float,
    zoom: float,
    threshold: float,
    radius: int,
    sigma: float,
    colour: float,
) -> FloatImage:
    """Add motion-blurred flakes and desaturate the image.

    Flakes are Gaussian noise (`mean`, `spread`), enlarged by `zoom`, zeroed below `threshold` and motion-blurred; they
    are added twice, the second time rotated by 180 degrees. colour: share of the original colours that is kept.
    """
    flakes = rng.normal(mean, spread, image.shape[:2]).astype(np.float32)
    flakes = zoomed(flakes, zoom)
    flakes[flakes < threshold] = 0
    flakes = smear(np.clip(flakes, 0, 1), radius=radius, sigma=sigma, degrees=rng.uniform(-135, -45))[..., None]
    gray = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))[..., None]
    bleached = np.maximum(image, gray * 1.5 + 0.5)
    fallen = colour * image + (1 - colour) * bleached + flakes + flakes[::-1, ::-1]
    return np.asarray(fallen, dtype=np.float32)


def frost(image: FloatImage, rng: Generator, own: float, ice: float) -> FloatImage:
    """Blend with ice crystals: `own` times the image plus `ice` times the ice."""
    return np.float32(own) * image + np.float32(ice) * _ice(image.shape[0], image.shape[1], rng)


def _ice(height: int, width: int, rng: Generator) -> FloatImage:
    """Return synthetic ice, float32 (H, W, 3); the paper uses photographs.

    Crystals are the cells of a Voronoi diagram, each with fine needles in a random direction; the thickness of the
    ice is a fractal.
    """
    side = min(height, width)
    num_seeds = max(4, round(height * width / max(4.0, side / CRYSTAL_PX) ** 2))
    seeds = (rng.random((num_seeds, 2)) * [height, width]).astype(np.float32)
    nearest, distance, second = _two_nearest(seeds, height, width)
    angle = rng.uniform(0, np.pi, num_seeds)[nearest]
    rows, columns = np.mgrid[0:height, 0:width]
    along = rows * np.sin(angle) + columns * np.cos(angle)
    needle_px = max(2.5, side / 40)
    needles = 0.5 + 0.5 * np.sin(2 * np.pi * (along / needle_px + rng.random(num_seeds)[nearest]))
    border = np.exp(-(second - distance) / max(0.7, side / 150))
    thickness = fractal(height, width, rng, decay=1.5)
    ice = thickness * (0.45 + 0.35 * needles) + 0.5 * border * (0.4 + 0.6 * thickness)
    return np.asarray(np.clip(ice + 0.15, 0, 1)[..., None] * ICE, dtype=np.float32)


def _two_nearest(seeds: FloatImage, height: int, width: int) -> tuple[NDArray[np.int64], FloatImage, FloatImage]:
    """Return for each pixel the nearest seed, its distance and that of the second nearest, in px; each (H, W)."""
    from scipy.spatial import cKDTree

    points = np.mgrid[0:height, 0:width].reshape(2, -1).T
    distances, found = cKDTree(seeds).query(points, k=2)
    near, far = distances.T.reshape(2, height, width)
    return found[:, 0].reshape(height, width), near, far


def fog(image: FloatImage, rng: Generator, amount: float, decay: float) -> FloatImage:
    """Add a fractal of height `amount`, and scale so that the brightest stays as bright."""
    brightest = float(image.max())
    clouds = fractal(image.shape[0], image.shape[1], rng, decay=decay)[..., None]
    return (image + np.float32(amount) * clouds) * np.float32(brightest / (brightest + amount))


def fractal(height: int, width: int, rng: Generator, *, decay: float) -> FloatImage:
    """Return fractal noise, float32 (H, W), 0 to 1; each octave is weaker by the square of `decay`.

    Octave k is a random grid of 2^k + 1 points a side, interpolated by cubics.
    """
    side = max(height, width, 2)
    octaves = int(np.ceil(np.log2(side)))
    total = np.zeros((side, side), dtype=np.float32)
    for octave in range(octaves + 1):
        grid = rng.uniform(-1, 1, (2**octave + 1, 2**octave + 1)).astype(np.float32)
        fine = np.asarray(cv2.resize(grid, (side, side), interpolation=cv2.INTER_CUBIC))
        total += np.float32(decay ** (-2 * octave)) * fine
    clouds = total[:height, :width]
    low, high = float(clouds.min()), float(clouds.max())
    return (clouds - np.float32(low)) / np.float32(max(high - low, 1e-6))


def brightness(image: FloatImage, rng: Generator, amount: float) -> FloatImage:
    """Add `amount` to the V channel of HSV; hue and saturation stay."""
    del rng
    coloured = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2HSV))
    coloured[..., 2] = np.minimum(coloured[..., 2] + np.float32(amount), 1)
    return np.asarray(cv2.cvtColor(coloured, cv2.COLOR_HSV2RGB), dtype=np.float32)
