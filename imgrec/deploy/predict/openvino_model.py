"""A model that OpenVINO runs: `model.xml` and `model.bin`, as `imgrec export` writes them."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.core.files.digest import sha256_of
from imgrec.data.images.lazy_image import LazyImage
from imgrec.data.samples import UInt8Array
from imgrec.deploy.bundle.document import DOCUMENT_KEY, BundleInfo, Described
from imgrec.errors import BundleError, MissingExtraError

__all__ = ["OpenVinoModel", "import_openvino", "read_openvino_info", "runner"]


class OpenVinoModel(Described):
    """A `Model` of an OpenVINO file, for several threads.

    Raises:
        BundleError: Not a file that imgrec wrote.
        MissingExtraError: OpenVINO is not installed.
    """

    runs_singly = False

    def __init__(self, path: Path) -> None:
        self.info = read_openvino_info(path)
        self.sha256 = sha256_of(path)
        self._run = runner(import_openvino().Core().read_model(path))

    def prepare(self, image: LazyImage, /) -> UInt8Array:
        """Return an image preprocessed: uint8 (H, W, 3)."""
        return self.preprocess.from_lazy_image(image)

    def run(self, images: Sequence[UInt8Array], /) -> NDArray[np.float32]:
        """Return logits float32 (N, C) of N images of one size."""
        return self._run(list(images))


def read_openvino_info(path: Path) -> BundleInfo:
    """Return the description in an OpenVINO file that imgrec wrote.

    Raises:
        BundleError: Not a file that imgrec wrote.
    """
    openvino = import_openvino()
    try:
        text = openvino.Core().read_model(path).get_rt_info([DOCUMENT_KEY]).astype(str)
    except RuntimeError as error:
        raise BundleError(f"{path} cannot be read, or imgrec did not write it: {str(error)[:200]}") from None
    return BundleInfo.from_json(text)


def runner(model: Any) -> Callable[[list[UInt8Array]], NDArray[np.float32]]:
    """Return a function from preprocessed images to logits, in float32; each thread has its own request."""
    compiled = import_openvino().Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    local = threading.local()

    def run(batch: list[UInt8Array]) -> NDArray[np.float32]:
        if not hasattr(local, "request"):
            local.request = compiled.create_infer_request()
        logits: NDArray[np.float32] = local.request.infer([np.stack(batch)])[0].copy()
        return logits

    return run


def import_openvino() -> Any:
    """Import OpenVINO.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import openvino
    except ImportError:
        raise MissingExtraError("openvino", "openvino") from None
    return openvino
