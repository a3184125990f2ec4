"""Digital corruptions: contrast, elastic transform, pixelation, JPEG. Images float32 (H, W, 3), 0 to 1."""

from io import BytesIO

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

__all__ = ["contrast", "elastic_transform", "jpeg_compression", "pixelate"]

FloatImage = NDArray[np.float32]


def contrast(image: FloatImage, rng: Generator, share: float) -> FloatImage:
    """Scale each channel's deviations from its mean by `share`."""
    del rng
    mean = image.mean(axis=(0, 1), keepdims=True)
    return np.asarray(mean + np.float32(share) * (image - mean), dtype=np.float32)


def elastic_transform(image: FloatImage, rng: Generator, height: float, smoothness: float, jitter: float) -> FloatImage:
    """Warp: three corners move by up to `jitter`, then every pixel by a smooth random field.

    The field is uniform noise from -1 to 1, blurred by a Gaussian of `smoothness`, times `height`. All three numbers
    are shares of the shorter side. Simard et al. 2003, "Best practices for convolutional neural networks".
    """
    rows, columns = image.shape[:2]
    side = min(rows, columns)
    x, y, arm = columns // 2, rows // 2, side // 3
    corners = np.array([[x + arm, y + arm], [x + arm, y - arm], [x - arm, y - arm]], dtype=np.float32)
    moved = corners + np.float32(jitter * side) * rng.uniform(-1, 1, corners.shape).astype(np.float32)
    turned = cv2.warpAffine(
        image, cv2.getAffineTransform(corners, moved), (columns, rows), borderMode=cv2.BORDER_REFLECT_101
    )
    field = [height * side * _smooth(rng.uniform(-1, 1, (rows, columns)), smoothness * side) for _ in range(2)]
    to_row, to_column = (np.mgrid[0:rows, 0:columns] + np.stack(field)).astype(np.float32)
    warped = cv2.remap(turned, to_column, to_row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(warped, dtype=np.float32)


def _smooth(noise: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Blur by a Gaussian of any width with reflected borders, as a product in the DCT domain."""
    from scipy.fft import dctn, idctn

    decays = [np.exp(-0.5 * (np.pi * sigma * np.arange(n) / n) ** 2) for n in noise.shape]
    return np.asarray(idctn(dctn(noise) * np.outer(decays[0], decays[1])))


def pixelate(image: FloatImage, rng: Generator, share: float) -> FloatImage:
    """Resize to a `share` of each side and back, with a box filter."""
    del rng
    pil = _pil(image)
    width, height = pil.size
    small = pil.resize((max(1, int(width * share)), max(1, int(height * share))), Image.Resampling.BOX)
    return _values(small.resize((width, height), Image.Resampling.BOX))


def jpeg_compression(image: FloatImage, rng: Generator, quality: int) -> FloatImage:
    """Encode and decode as JPEG of `quality` 1 to 100."""
    del rng
    file = BytesIO()
    _pil(image).save(file, "JPEG", quality=quality)
    return _values(Image.open(file))


def _pil(image: FloatImage) -> Image.Image:
    return Image.fromarray(np.rint(image * 255).astype(np.uint8))


def _values(pil: Image.Image) -> FloatImage:
    return np.asarray(pil, dtype=np.float32) / np.float32(255)
