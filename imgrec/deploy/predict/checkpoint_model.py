"""`CheckpointModel`, a network in PyTorch that gives the outputs of the bundle that would be exported from it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import nn

from imgrec.core.checkpoint.checkpoint import CheckpointInfo
from imgrec.data.images.lazy_image import LazyImage
from imgrec.data.samples import UInt8Array
from imgrec.deploy.bundle.document import BundleInfo, Described
from imgrec.models.inference import infer

__all__ = ["CheckpointModel"]


class CheckpointModel(Described):
    """A `Model` of a network in PyTorch.

    Args:
        network: Images uint8 (N, 3, H, W) to logits (N, C), in evaluation mode, on the CPU.
        info: Description of its bundle; images are decoded in full, as for a bundle.
        sha256: Of the file.
        checkpoint: Record of the checkpoint, where it was loaded from one.
    """

    def __init__(
        self, network: nn.Module, info: BundleInfo, *, sha256: str, checkpoint: CheckpointInfo | None = None
    ) -> None:
        self.network = network
        self.info = info
        self.sha256 = sha256
        self.checkpoint = checkpoint

    @property
    def runs_singly(self) -> bool:
        """False: it runs batches of preprocessed images."""
        return False

    def prepare(self, image: LazyImage, /) -> UInt8Array:
        """Return an image preprocessed: uint8 (H, W, 3)."""
        return self.info.preprocess.from_lazy_image(image)

    def run(self, images: Sequence[UInt8Array], /) -> NDArray[np.float32]:
        """Return logits float32 (N, C) of N images of one size."""
        return infer(self.network, [np.stack(images)]).logits
