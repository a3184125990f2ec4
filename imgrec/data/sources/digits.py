"""scikit-learn's handwritten digits: 1,797 images that need no download."""

import gzip
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.data.images.collections import ArrayImages
from imgrec.data.loading.datamodule import ImageDataModule
from imgrec.data.samples import Samples, Splits
from imgrec.data.sources.assemble import Found, assemble


class DigitsData(ImageDataModule):
    """Data module for the digits 0 to 9, gray, 8x8 px; arguments as in `read_digits`."""

    def __init__(self, *, val_fraction: float = 0.1, test_fraction: float = 0.2, **loader: Any) -> None:
        super().__init__(**loader)
        self.options: dict[str, Any] = {"val_fraction": val_fraction, "test_fraction": test_fraction}

    def read(self, class_names: Sequence[str] | None) -> Splits:
        """Read the splits; with `class_names`, map labels to that list by name."""
        return read_digits(**self.options, seed=self.seed, class_names=class_names)


def read_digits(
    *,
    val_fraction: float = 0.1,
    test_fraction: float = 0.2,
    seed: int = 1,
    class_names: Sequence[str] | None = None,
) -> Splits:
    """Read the digits, values 0 to 16 scaled to 0 to 255, and split them; arguments as in `assemble`."""
    table = _read_table()
    samples = Samples(
        names=[f"digits/{i:04d}" for i in range(len(table))],
        images=ArrayImages(np.round(table[:, :64] * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8)),
        labels=table[:, 64].astype(np.int64),
    )
    found = Found(where="data=digits", parts={"all": samples}, label_names=[str(digit) for digit in range(10)])
    return assemble(found, class_names=class_names, val_fraction=val_fraction, test_fraction=test_fraction, seed=seed)


def _read_table() -> NDArray[np.int64]:
    """Return (1797, 65): 64 pixels and the digit.

    scikit-learn's own reader costs its import, about a second; the file inside the package costs some milliseconds.
    """
    package = find_spec("sklearn")
    folder = Path(package.origin).parent if package is not None and package.origin else Path()
    file = folder / "datasets" / "data" / "digits.csv.gz"
    if file.is_file():
        with gzip.open(file) as text:
            return np.loadtxt(text, delimiter=",", dtype=np.int64)
    from sklearn.datasets import load_digits  # a release that keeps the file elsewhere

    digits = load_digits()
    return np.column_stack([digits.data, digits.target]).astype(np.int64)
