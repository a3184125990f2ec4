"""The recipe that all loaders of input_speed.py follow, and their arguments."""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIZE, RESIZE, SCALE, RATIO = 224, 256, (0.08, 1.0), (3 / 4, 4 / 3)
WORKERS = 2


@dataclass(frozen=True)
class Case:
    """What to read. `images`: class folders of JPEG files. `work`: folder for containers made from them."""

    images: Path
    work: Path
    recipe: Literal["train", "eval"]
    batch_size: int

    @property
    def is_train(self) -> bool:
        return self.recipe == "train"

    @property
    def loader(self) -> dict[str, Any]:
        """Arguments of every PyTorch DataLoader. Persistent workers, two batches ahead: the fastest for all of them."""
        return {"batch_size": self.batch_size, "num_workers": WORKERS, "persistent_workers": True, "prefetch_factor": 2}


Pass = Callable[[], Iterable[Tensor]]
Contender = Callable[[Case], Pass]


class AbsentError(Exception):
    """A contender that is not available in this environment."""


def first(loader: Any) -> Pass:
    return lambda: (batch[0] for batch in loader)


def listed(images: Path) -> list[tuple[Path, int]]:
    """Return files and labels in random order."""
    classes = sorted(folder for folder in images.iterdir() if folder.is_dir())
    found = [(path, label) for label, folder in enumerate(classes) for path in sorted(folder.iterdir())]
    random.Random(0).shuffle(found)
    return found
