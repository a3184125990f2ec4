"""Facts of decoded pixels: digest, hashes, thumbnail, brightness, contrast, sharpness, colourfulness, border."""

import hashlib
from typing import Any

import numpy as np
from PIL import Image

from imgrec.auditing.scan.facts import DIGEST_BYTES, THUMBNAIL_PX
from imgrec.auditing.scan.hashes import perceptual_hashes
from imgrec.data.images.properties import sharpness
from imgrec.data.samples import UInt8Array

__all__ = ["border_share", "colorfulness", "measure_pixels", "pixel_hash"]

REDUCED_PX = 256
FRAME_RANGE = 8  # of 255: gray values this close count as equal, so that JPEG noise does not break a frame


def measure_pixels(image: UInt8Array) -> dict[str, Any]:
    """Return the fields of `ImageFacts` that depend on the pixels, uint8 (H, W, 3), alone."""
    reduced = _reduce(image)
    gray = np.asarray(reduced.convert("L"))
    thumbnail = reduced.convert("L").resize((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BILINEAR)
    return {
        "width": image.shape[1],
        "height": image.shape[0],
        "pixel_hash": pixel_hash(image),
        "hashes": perceptual_hashes(gray),
        "thumbnail": np.asarray(thumbnail),
        "brightness": float(gray.mean()),
        "contrast": float(gray.std()),
        "sharpness": float(sharpness(gray)),
        "colorfulness": colorfulness(np.asarray(reduced)),
        "border": border_share(gray),
    }


def pixel_hash(image: UInt8Array) -> bytes:
    """Return 16 bytes that are equal for two images if and only if shape and every pixel are (BLAKE2b)."""
    digest = hashlib.blake2b(repr(image.shape).encode(), digest_size=DIGEST_BYTES)
    digest.update(np.ascontiguousarray(image).data)
    return digest.digest()


def colorfulness(image: UInt8Array) -> float:
    """Return M(3) of Hasler and Suesstrunk 2003, "Measuring colourfulness in natural images", section 4.

    0 for gray; 15 is slightly, 33 moderately, 59 quite, 109 extremely colourful, by that paper's scale.
    """
    red, green, blue = np.moveaxis(image.astype(np.float32), 2, 0)
    red_green, yellow_blue = red - green, (red + green) / 2 - blue
    spread = np.hypot(red_green.std(), yellow_blue.std())
    away = np.hypot(red_green.mean(), yellow_blue.mean())
    return float(spread) + 0.3 * float(away)


def border_share(gray: UInt8Array) -> float:
    """Return the share of gray (H, W) in rows and columns of constant gray at its edges, 0 to 1."""
    rows = (_run(gray), _run(gray[::-1]))
    if rows[0] == len(gray):
        return 1.0
    columns = (_run(gray.T), _run(gray.T[::-1]))
    height, width = gray.shape
    inside = (height - sum(rows)) * (width - sum(columns))
    return float(1.0 - inside / (height * width))


def _run(lines: UInt8Array) -> int:
    """Return how many of the first lines have one constant value together."""
    low, high = lines.min(axis=1).astype(int), lines.max(axis=1).astype(int)
    low, high = np.minimum.accumulate(low), np.maximum.accumulate(high)
    return int((high - low <= FRAME_RANGE).sum())


def _reduce(image: UInt8Array) -> Image.Image:
    """Return the image with no side above REDUCED_PX; a small one is unchanged."""
    pil = Image.fromarray(image)
    scale = REDUCED_PX / max(pil.size)
    if scale >= 1:
        return pil
    size = max(1, round(pil.width * scale)), max(1, round(pil.height * scale))
    return pil.resize(size, Image.Resampling.BILINEAR, reducing_gap=3.0)
