"""Images to scan: smooth and detailed as photographs are, each unlike the others, and tables of their facts."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from PIL import Image

from imgrec.auditing.scan.check import check_pixels
from imgrec.auditing.scan.facts import FactsTable, facts_table
from imgrec.data.images.collections import ArrayImages
from imgrec.data.samples import Samples, UInt8Array


def photograph(seed: int, *, width: int = 200, height: int = 150) -> Image.Image:
    """Return noise at several scales, which has the spectrum of a photograph."""
    random = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for cells in (3, 6, 12, 24, 48):
        coarse = random.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        layer = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        total += np.asarray(layer, float) / cells**0.7
    total -= total.min()
    return Image.fromarray((255 * total / total.max()).astype(np.uint8))


def jpeg(image: Image.Image, quality: int) -> bytes:
    stream = BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def table_of(
    images: Sequence[Image.Image | UInt8Array], *, split: Sequence[str] | None = None, labels: Sequence[int] = ()
) -> FactsTable:
    """Return the facts of images; `split` gives each one's split, those of a split side by side."""
    splits = split or ["train"] * len(images)
    numbers = np.array(labels or [0] * len(images), np.int64)
    parts = {}
    for name in dict.fromkeys(splits):
        rows = [row for row, one in enumerate(splits) if one == name]
        nothing = ArrayImages(np.zeros((len(rows), 1, 1), np.uint8))
        parts[name] = Samples([f"{name}/{row}" for row in rows], nothing, numbers[rows])
    facts = [check_pixels(np.asarray(image)) for image in images]
    return facts_table(parts, facts, class_names=["ant", "bee"])
