"""`Bundle`, an exported model.onnx: read, checked, and run with onnxruntime.

No torch, Lightning, Hydra or albumentations is imported here or by what this imports; a test holds that.
"""

import stat
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imgrec.data.samples import UInt8Array
from imgrec.deploy.bundle.check import check_model, read_metadata
from imgrec.deploy.bundle.document import DOCUMENT_KEY, BundleInfo, Described
from imgrec.deploy.bundle.seal import DIGEST_KEY, verify_seal
from imgrec.deploy.bundle.wire import Message
from imgrec.errors import BundleError, DataError, MissingExtraError

if TYPE_CHECKING:
    from imgrec.data.images.lazy_image import LazyImage

__all__ = ["Bundle", "bundle_from_bytes", "load_bundle", "read_bundle"]

INPUT, OUTPUT = "images", "logits"
MAX_BYTES = 1 << 31  # protocol buffers end there, and so does ONNX in one file


class Bundle(Described):
    """A trained classifier: images in, logits out. Made by `load_bundle`.

    Several threads may run it at the same time.

    Attributes:
        sha256: Of the file without its digest; identifies the model in logs and responses.
    """

    def __init__(self, session: Any, info: BundleInfo, *, sha256: str, single: Any = None) -> None:
        self._session = session
        self._single = single or session
        self.info = info
        self.sha256 = sha256

    @property
    def runs_singly(self) -> bool:
        """Whether images run one after the other, each at its own size: the input is "image"."""
        return self.info.input == "image"

    def prepare(self, image: "LazyImage") -> UInt8Array:
        """Return an image as `run` takes it: uint8 (H, W, 3).

        Raises:
            ImageError: The image cannot be decoded.
            DataError: The preprocessing does not resize, and the image has another size.
        """
        return image.pixels() if self.info.input == "image" else self.preprocess.from_lazy_image(image)

    def run(self, images: Sequence[UInt8Array] | UInt8Array, *, single_thread: bool = False) -> NDArray[np.float32]:
        """Return logits float32 (N, C) for N prepared images, each uint8 (H, W, 3).

        With input "pixels" all have one size and run as one batch; with input "image" they run one after the other.

        Args:
            images: Prepared images.
            single_thread: Run on the calling thread alone, if the bundle was loaded with `concurrent`.

        Raises:
            DataError: Another type or shape.
            MemoryError: The batch is too large for the memory.
        """
        images = list(images)
        for image in images:
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
                raise DataError(f"An image is uint8 (height, width, 3), not {image.dtype} {image.shape}.")
        if not images:
            return np.empty((0, len(self.class_names)), dtype=np.float32)
        if self.info.input == "image":
            return np.concatenate([self._run(image, single_thread) for image in images])
        if len({image.shape for image in images}) > 1:
            raise DataError("The images of a batch have several sizes. Bring each to one size with `prepare`.")
        return self._run(np.stack(images), single_thread)

    def _run(self, pixels: UInt8Array, single_thread: bool) -> NDArray[np.float32]:
        from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument

        session = self._single if single_thread else self._session
        try:
            logits: NDArray[np.float32] = session.run([OUTPUT], {INPUT: pixels})[0]
        except InvalidArgument:
            wanted = self.preprocess.height_width
            raise DataError(f"Images of {pixels.shape[-3:-1]} px, but the graph takes {wanted}.") from None
        except Fail as error:
            if "allocate memory" in str(error):
                raise MemoryError(f"No memory to run the model on {pixels.shape} at once.") from None
            raise
        return logits


def load_bundle(
    path: str | Path, *, threads: int | None = None, spins: bool = True, concurrent: bool = False
) -> Bundle:
    """Read and check a bundle; onnxruntime gets the very bytes that were checked.

    Args:
        path: Of a model.onnx that `imgrec export` wrote.
        threads: Threads that compute one batch; None for one per processor core.
        spins: Whether a waiting thread keeps its core busy: slightly faster alone, wasteful where something else, such
            as decoding, needs the core.
        concurrent: Load the model a second time, single-threaded, for `run(..., single_thread=True)`: threads that
            each run a batch of their own then never wait for each other.

    Raises:
        BundleError: The file is absent, truncated, changed, of a newer format, or holds something that imgrec never
            writes.
        MissingExtraError: onnxruntime is not installed.
    """
    return bundle_from_bytes(_read(Path(path)), name=str(path), threads=threads, spins=spins, concurrent=concurrent)


def bundle_from_bytes(
    data: bytes, *, name: str, threads: int | None = None, spins: bool = True, concurrent: bool = False
) -> Bundle:
    """Return a bundle from its bytes, as `load_bundle` does; `name` stands for the file in messages."""
    info, sha256 = read_bundle(data, name=name)
    session = _open_session(data, name=name, threads=threads, spins=spins)
    _check_session(session, info, name=name)
    single = _open_session(data, name=name, threads=1, spins=False) if concurrent else None
    return Bundle(session, info, sha256=sha256, single=single)


def read_bundle(data: bytes, *, name: str) -> tuple[BundleInfo, str]:
    """Check a bundle without running it.

    Returns:
        Its description and its digest.

    Raises:
        BundleError: The bundle cannot be used.
    """
    view = memoryview(data)
    try:
        _check_kind(view)
        sha256 = verify_seal(view)
        model = Message(view, 0, len(view))
        metadata = read_metadata(model)
        if metadata.keys() != {DOCUMENT_KEY, DIGEST_KEY}:
            raise BundleError("its metadata are not those of a bundle")
        info = BundleInfo.from_json(metadata[DOCUMENT_KEY])  # first: in a newer format anything may differ
        check_model(model)
    except BundleError as error:
        raise BundleError(
            f"{name} is not a bundle that can be used: {str(error).rstrip('.')}. Export it again."
        ) from None
    return info, sha256


def _read(path: Path) -> bytes:
    """Return the bytes of a regular file. Raises: BundleError: absent, a folder or pipe, too large, unreadable."""
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):
            raise BundleError(f"{path} is not a file. Give the path of a model.onnx.")
        if info.st_size >= MAX_BYTES:
            raise BundleError(f"{path} has {info.st_size:,} bytes; a bundle has less than {MAX_BYTES:,}.")
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise BundleError(f"{path} cannot be read: {reason}. Give the path of a model.onnx.") from None


def _check_kind(data: memoryview) -> None:
    """Raise BundleError with a hint for what is often given by mistake: a checkpoint, an image, an empty file."""
    start = bytes(data[:8])
    if not start:
        raise BundleError("an empty file")
    if start.startswith(b"PK\x03\x04"):
        raise BundleError("a checkpoint or another zip file; `imgrec export` writes a bundle from a checkpoint")
    if start[:1] != b"\x08":  # field 1 of an ONNX file, ir_version
        raise BundleError("not an ONNX file, which is what `imgrec export` writes")


def _open_session(data: bytes, *, name: str, threads: int | None, spins: bool) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtraError("onnxruntime", "serve") from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads or 0
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spins)))
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a dozen kinds of its own
        reason = " ".join(str(error).split())[:200]
        raise BundleError(f"{name} cannot be run: {reason}. Export it again.") from None


def _check_session(session: Any, info: BundleInfo, *, name: str) -> None:
    """Check that inputs and outputs of the graph are those of the description. Raises: BundleError."""
    inputs = [(one.name, one.type, one.shape) for one in session.get_inputs()]
    outputs = [(one.name, one.type, one.shape[1:]) for one in session.get_outputs()]
    takes = len(inputs) == 1 and inputs[0][:2] == (INPUT, "tensor(uint8)") and _fits(inputs[0][2], info)
    if not takes or outputs != [(OUTPUT, "tensor(float)", [len(info.class_names)])]:
        raise BundleError(
            f"{name}: its graph takes {inputs} and gives {outputs}, which does not match its description "
            f"({info.input}, {info.preprocess.height_width} px, {len(info.class_names)} classes). Export it again."
        )


def _fits(shape: Sequence[Any], info: BundleInfo) -> bool:
    """Whether the shape of a graph's input is that of an image, or of a batch of them, of the size described."""
    is_image = info.input == "image"
    size = None if is_image and info.preprocess.mode != "none" else info.preprocess.height_width
    height, width = size or (None, None)
    wanted = [height, width, 3] if is_image else [None, height, width, 3]
    return len(shape) == len(wanted) and all(size in (None, one) for size, one in zip(wanted, shape, strict=True))
