"""`Model`, the protocol of everything that can predict: bundles, checkpoints, OpenVINO files."""

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
    """From images to logits; several threads may use it at the same time.

    Attributes:
        sha256: Of the file; identifies the model.
    """

    sha256: str

    @property
    def class_names(self) -> Sequence[str]:
        """The name of each logit."""
        ...

    @property
    def task(self) -> Task:
        """One class per image ("single"), or any number ("multilabel")."""
        ...

    @property
    def preprocess(self) -> "Preprocess":
        """Resizes an image to the input size of the model."""
        ...

    @property
    def decisions(self) -> Decisions:
        """Temperature and decision rules: from logits to predictions."""
        ...

    @property
    def runs_singly(self) -> bool:
        """Whether images run one after the other at full size, so that a batch would only cost memory."""
        ...

    def prepare(self, image: "LazyImage", /) -> UInt8Array:
        """Return an image as `run` takes it: uint8 (H, W, 3). Raises: ImageError, DataError."""
        ...

    def run(self, images: Sequence[UInt8Array], /) -> NDArray[np.float32]:
        """Return logits (N, C). Raises: DataError."""
        ...
