"""The 15 common corruptions at 5 severities, seeded by (seed, corruption, severity, image).

Hendrycks and Dietterich 2019, "Benchmarking neural network robustness to common corruptions and perturbations",
arXiv:1903.12261: what they are, and the parameters of its ImageNet-C and CIFAR-10-C. Reimplemented on OpenCV, SciPy
and Pillow: the images are similar, not equal, so compare with models measured here, not with the published tables.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from imgrec.core.keyed_random import generator
from imgrec.data.samples import UInt8Array
from imgrec.studies.robustness.corruption.blur import defocus_blur, glass_blur, motion_blur, zoom_blur
from imgrec.studies.robustness.corruption.digital import contrast, elastic_transform, jpeg_compression, pixelate
from imgrec.studies.robustness.corruption.noise import FloatImage, gaussian_noise, impulse_noise, shot_noise
from imgrec.studies.robustness.corruption.weather import brightness, fog, frost, snow

__all__ = ["CORRUPTIONS", "SEVERITIES", "SMALL_PX", "Corruption", "corrupt"]

SEVERITIES = (1, 2, 3, 4, 5)
SMALL_PX = 64  # images with a shorter side below it get the parameters of CIFAR-10-C

# ImageNet-C states the elastic transform in pixels, for a side that its code takes to be 244.
_E = 244 / 224

Parameters = Sequence[tuple[float, ...]]


@dataclass(frozen=True)
class Corruption:
    """One corruption.

    Attributes:
        name: As in the paper.
        family: noise, blur, weather or digital.
        apply: (image, generator, *parameters) to image.
        large: Parameters of each severity, from ImageNet-C.
        small: The same from CIFAR-10-C, for images whose shorter side is below `SMALL_PX`.
    """

    name: str
    family: str
    apply: Callable[..., FloatImage]
    large: Parameters
    small: Parameters


def _each(*values: float) -> Parameters:
    return [(value,) for value in values]


CORRUPTIONS: Sequence[Corruption] = (
    Corruption(
        "gaussian_noise",
        "noise",
        gaussian_noise,
        _each(0.08, 0.12, 0.18, 0.26, 0.38),
        _each(0.04, 0.06, 0.08, 0.09, 0.10),
    ),
    Corruption("shot_noise", "noise", shot_noise, _each(60, 25, 12, 5, 3), _each(500, 250, 100, 75, 50)),
    Corruption(
        "impulse_noise",
        "noise",
        impulse_noise,
        _each(0.03, 0.06, 0.09, 0.17, 0.27),
        _each(0.01, 0.02, 0.03, 0.05, 0.07),
    ),
    Corruption(
        "defocus_blur",
        "blur",
        defocus_blur,
        [(3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)],
        [(0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)],
    ),
    Corruption(
        "glass_blur",
        "blur",
        glass_blur,
        [(0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)],
        [(0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)],
    ),
    Corruption(
        "motion_blur",
        "blur",
        motion_blur,
        [(10, 3), (15, 5), (15, 8), (15, 12), (20, 15)],
        [(6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)],
    ),
    Corruption(
        "zoom_blur",
        "blur",
        zoom_blur,
        [(1.10, 0.01), (1.15, 0.01), (1.20, 0.02), (1.24, 0.02), (1.30, 0.03)],
        [(1.05, 0.01), (1.10, 0.01), (1.15, 0.01), (1.20, 0.01), (1.25, 0.01)],
    ),
    Corruption(
        "snow",
        "weather",
        snow,
        [
            (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
            (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
            (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
            (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
            (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
        ],
        [
            (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
        ],
    ),
    Corruption(
        "frost",
        "weather",
        frost,
        [(1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)],
        [(1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)],
    ),
    Corruption(
        "fog",
        "weather",
        fog,
        [(1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)],
        [(0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)],
    ),
    Corruption("brightness", "weather", brightness, _each(0.1, 0.2, 0.3, 0.4, 0.5), _each(0.05, 0.1, 0.15, 0.2, 0.3)),
    Corruption("contrast", "digital", contrast, _each(0.4, 0.3, 0.2, 0.1, 0.05), _each(0.75, 0.5, 0.4, 0.3, 0.15)),
    Corruption(
        "elastic_transform",
        "digital",
        elastic_transform,
        [
            (2 * _E, 0.7 * _E, 0.1 * _E),
            (2 * _E, 0.08 * _E, 0.2 * _E),
            (0.05 * _E, 0.01 * _E, 0.02 * _E),
            (0.07 * _E, 0.01 * _E, 0.02 * _E),
            (0.12 * _E, 0.01 * _E, 0.02 * _E),
        ],
        [(0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)],
    ),
    Corruption("pixelate", "digital", pixelate, _each(0.6, 0.5, 0.4, 0.3, 0.25), _each(0.95, 0.9, 0.85, 0.75, 0.65)),
    Corruption("jpeg_compression", "digital", jpeg_compression, _each(25, 18, 15, 10, 7), _each(80, 65, 58, 50, 40)),
)


def corrupt(image: UInt8Array, corruption: Corruption, severity: int, *, seed: int, index: int) -> UInt8Array:
    """Return the corrupted image, uint8 (H, W, 3).

    Args:
        image: uint8 (H, W, 3).
        corruption: One of `CORRUPTIONS`.
        severity: 1 to 5; 0 returns the image unchanged.
        seed: With corruption, severity and index it determines the result.
        index: Of the image in its split.
    """
    if severity == 0:
        return image
    rng = generator(seed, CORRUPTIONS.index(corruption), severity, index)
    parameters = corruption.small if min(image.shape[:2]) < SMALL_PX else corruption.large
    made = corruption.apply(image.astype(np.float32) / 255, rng, *parameters[severity - 1])
    return np.rint(np.clip(made, 0, 1) * 255).astype(np.uint8)
