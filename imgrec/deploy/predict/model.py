"""What answers: a bundle is one by itself, a checkpoint is made one."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from imgrec.data.samples import Task, UInt8Array
from imgrec.evaluation.decisions import Decisions

if TYPE_CHECKING:
    from imgrec.data.images.lazy_image import LazyImage
    from imgrec.data.images.preprocess import Preprocess

__all__ = ["Model"]


class Model(Protocol):
    """Images in, logits out; several threads may use it at the same time. Attributes: see `imgrec.deploy.bundle.Bundle`."""

    sha256: str

    @property
    def class_names(self) -> Sequence[str]:
        """The name of each logit."""
        ...

    @property
    def task(self) -> Task:
        """One class per image, or any number."""
        ...

    @property
    def preprocess(self) -> "Preprocess":
        """What brings an image to the network's size."""
        ...

    @property
    def decisions(self) -> Decisions:
        """What makes an answer of logits."""
        ...

    @property
    def runs_singly(self) -> bool:
        """Whether images run one after the other, whole: a batch would gain nothing and hold all of them."""
        ...

    def prepare(self, image: "LazyImage", /) -> UInt8Array:
        """Return an image as `run` wants it: uint8 (H, W, 3). Raises: ImageError, DataError."""
        ...

    def run(self, images: Sequence[UInt8Array], /) -> NDArray[np.float32]:
        """Return logits (N, C). Raises: DataError."""
        ...
