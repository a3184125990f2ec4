"""Write tests/corruptions.json: what each corruption makes of two fixed images, for tests/test_corruptions.py.

    python tests/record_corruptions.py

Run it again when a corruption is changed on purpose; the difference then says which cells changed.
"""

import hashlib
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np

from imgrec.studies.robustness.corruption import CORRUPTIONS, SEVERITIES, corrupt

FILE = Path(__file__).with_name("corruptions.json")
PACKAGES = ("numpy", "scipy", "opencv-python-headless", "pillow")


def sample_image(height: int, width: int) -> np.ndarray:
    """Return an image with gradients, edges and colour, the same everywhere: no library draws it."""
    rows, columns = np.mgrid[0:height, 0:width]
    red = 255 * rows // max(1, height - 1)
    green = np.where((rows // 5 + columns // 7) % 2, 200, 40)
    blue = 255 * columns // max(1, width - 1)
    return np.stack([red, green, blue], axis=-1).astype(np.uint8)


IMAGES = {"small": sample_image(32, 32), "large": sample_image(72, 80)}


def cells():
    """Yield the name of each cell and what it makes of its image."""
    for size, image in IMAGES.items():
        for corruption in CORRUPTIONS:
            for severity in SEVERITIES:
                yield f"{size}/{corruption.name}/{severity}", corrupt(image, corruption, severity, seed=1, index=7)


def versions() -> dict[str, str]:
    """Return the versions on which pixels depend."""
    return {name: version(name) for name in PACKAGES}


if __name__ == "__main__":
    found = {
        name: {"sha256": hashlib.sha256(made.tobytes()).hexdigest(), "mean": round(float(made.mean()), 3)}
        for name, made in cells()
    }
    FILE.write_text(json.dumps({"versions": versions(), "cells": found}, indent=1) + "\n", encoding="utf-8")
