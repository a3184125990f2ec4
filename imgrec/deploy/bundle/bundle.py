"""The file that ships: read, checked and run, with onnxruntime and nothing of the training side.

No torch, Lightning, Hydra or albumentations is imported here or by what this imports; a test holds that.
"""

import stat
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imgrec.data.images.preprocess import Preprocess
from imgrec.data.samples import Task, UInt8Array
from imgrec.deploy.bundle.check import check_model, read_metadata
from imgrec.deploy.bundle.document import DOCUMENT_KEY, BundleInfo
from imgrec.deploy.bundle.seal import DIGEST_KEY, verify_seal
from imgrec.deploy.bundle.wire import Message
from imgrec.errors import BundleError, DataError, MissingExtraError
from imgrec.evaluation.decisions import Decisions

if TYPE_CHECKING:
    from imgrec.data.images.lazy_image import LazyImage

__all__ = ["Bundle", "bundle_from_bytes", "load_bundle", "read_bundle"]

INPUT, OUTPUT = "images", "logits"
MAX_BYTES = 1 << 31  # protocol buffers end there, and so does ONNX in one file


class Bundle:
    """A trained classifier: images in, logits out. Made by `load_bundle`.

    class_names: one per logit. task: "single" or "multilabel". sha256: of the file without its digest: its name in
    logs and answers. decisions, preprocess: see `BundleInfo`. info: all that the file says of itself.
    Several threads may run it at the same time.
    """

    def __init__(self, session: Any, info: BundleInfo, *, sha256: str, lane: Any = None) -> None:
        self._session = session
        self._lane = lane or session
        self.info = info
        self.sha256 = sha256

    @property
    def class_names(self) -> Sequence[str]:
        """The name of each logit."""
        return self.info.class_names

    @property
    def task(self) -> Task:
        """One class per image ("single"), or any number ("multilabel")."""
        return self.info.task

    @property
    def preprocess(self) -> Preprocess:
        """What brings an image to the network's size."""
        return self.info.preprocess

    @property
    def decisions(self) -> Decisions:
        """What makes probabilities of logits, and an answer of probabilities: `decisions.decide(logits)`."""
        return self.info.decisions

    @property
    def runs_singly(self) -> bool:
        """Whether images run one after the other, each as large as it is: of input "image"."""
        return self.info.input == "image"

    def prepare(self, image: "LazyImage") -> UInt8Array:
        """Return an image as `run` wants it: uint8 (H, W, 3). Raises: ImageError, DataError."""
        return image.pixels() if self.info.input == "image" else self.preprocess.from_lazy_image(image)

    def run(self, images: Sequence[UInt8Array] | UInt8Array, *, in_lane: bool = False) -> NDArray[np.float32]:
        """Return logits float32 (N, C) for N prepared images, each uint8 (H, W, 3).

        Of input "pixels" all have one size and run as one batch; of input "image" they run one after the other.
        in_lane: on the calling thread alone, if the bundle was loaded with `lanes`.
        Raises: DataError: another type or shape. MemoryError: they are too many at once.
        """
        images = list(images)
        for image in images:
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
                raise DataError(f"An image is uint8 (height, width, 3), not {image.dtype} {image.shape}.")
        if not images:
            return np.empty((0, len(self.class_names)), dtype=np.float32)
        if self.info.input == "image":
            return np.concatenate([self._run(image, in_lane) for image in images])
        if len({image.shape for image in images}) > 1:
            raise DataError("The images of a batch have several sizes. Bring each to one size with `prepare`.")
        return self._run(np.stack(images), in_lane)

    def probabilities(self, logits: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return probabilities (N, C) of logits (N, C): at the temperature of the decisions."""
        return self.decisions.probabilities(logits)

    def _run(self, pixels: UInt8Array, in_lane: bool) -> NDArray[np.float32]:
        from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument

        session = self._lane if in_lane else self._session
        try:
            logits: NDArray[np.float32] = session.run([OUTPUT], {INPUT: pixels})[0]
        except InvalidArgument:
            wanted = self.preprocess.height_width
            raise DataError(f"Images of {pixels.shape[-3:-1]} px, but the graph takes {wanted}.") from None
        except Fail as error:
            if "allocate memory" in str(error):
                raise MemoryError(f"No memory to run the network on {pixels.shape} at once.") from None
            raise
        return logits


def load_bundle(path: str | Path, *, threads: int | None = None, spins: bool = True, lanes: bool = False) -> Bundle:
    """Read a bundle, check all of it, then hand the very bytes that were checked to onnxruntime.

    threads: that work on one batch; None = one a processor core. spins: whether a thread that waits for another keeps
        its core busy: a little quicker alone, wasteful where something else, such as decoding, wants that core.
    lanes: whether to hold the network a second time, for `run(..., in_lane=True)`: threads that each run a batch of
        their own never wait for each other.
    Raises: BundleError: absent, cut short, changed, of a newer format, or with something inside that imgrec never
    writes. MissingExtraError: onnxruntime is not installed.
    """
    return bundle_from_bytes(_read(Path(path)), name=str(path), threads=threads, spins=spins, lanes=lanes)


def bundle_from_bytes(
    data: bytes, *, name: str, threads: int | None = None, spins: bool = True, lanes: bool = False
) -> Bundle:
    """Do as `load_bundle`, from memory; `name` is what messages call it."""
    info, sha256 = read_bundle(data, name=name)
    session = _open_session(data, name=name, threads=threads, spins=spins)
    _check_session(session, info, name=name)
    lane = _open_session(data, name=name, threads=1, spins=False) if lanes else None
    return Bundle(session, info, sha256=sha256, lane=lane)


def read_bundle(data: bytes, *, name: str) -> tuple[BundleInfo, str]:
    """Check a bundle and return what it says of itself, and its digest; nothing is run. Raises: BundleError."""
    view = memoryview(data)
    try:
        _check_kind(view)
        sha256 = verify_seal(view)
        model = Message(view, 0, len(view))
        metadata = read_metadata(model)
        if metadata.keys() != {DOCUMENT_KEY, DIGEST_KEY}:
            raise BundleError("its metadata are not those of a bundle")
        info = BundleInfo.from_json(metadata[DOCUMENT_KEY])  # first: of a newer format anything may be new
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
    """Name what is often given by mistake: a checkpoint, an image, an empty file."""
    start = bytes(data[:8])
    if not start:
        raise BundleError("an empty file")
    if start.startswith(b"PK\x03\x04"):
        raise BundleError("a checkpoint or another zip file; `imgrec export` makes a bundle of a checkpoint")
    if start[:1] != b"\x08":  # field 1 of an ONNX file, ir_version
        raise BundleError("not an ONNX file")


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
    """Check that the graph takes and gives what the description says. Raises: BundleError."""
    inputs = [(one.name, one.type, one.shape) for one in session.get_inputs()]
    outputs = [(one.name, one.type, one.shape[1:]) for one in session.get_outputs()]
    takes = len(inputs) == 1 and inputs[0][:2] == (INPUT, "tensor(uint8)") and _fits(inputs[0][2], info)
    if not takes or outputs != [(OUTPUT, "tensor(float)", [len(info.class_names)])]:
        raise BundleError(
            f"{name}: its graph takes {inputs} and gives {outputs}, which is not what its description says "
            f"({info.input}, {info.preprocess.height_width} px, {len(info.class_names)} classes). Export it again."
        )


def _fits(shape: Sequence[Any], info: BundleInfo) -> bool:
    """Whether the shape of a graph's input is that of an image, or of a batch of them, of the size described."""
    is_image = info.input == "image"
    size = None if is_image and info.preprocess.mode != "none" else info.preprocess.height_width
    height, width = size or (None, None)
    wanted = [height, width, 3] if is_image else [None, height, width, 3]
    return len(shape) == len(wanted) and all(size in (None, one) for size, one in zip(wanted, shape, strict=True))
