"""A trained model for use from Python: load it, predict, embed, explain, export."""

import glob
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from html import escape
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from imgrec.core.config.checks import check_count
from imgrec.core.system.hardware import num_processors
from imgrec.data.images.lazy_image import DecodedImage, LazyImage, image_from_bytes
from imgrec.data.images.preprocess import Preprocess
from imgrec.data.samples import Task, UInt8Array
from imgrec.deploy.predict.item import Item
from imgrec.deploy.predict.open_model import find_model, open_model
from imgrec.errors import ConfigError, DataError, ImageError
from imgrec.evaluation.decisions import Decisions, Prediction

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage
    from torch import nn

    from imgrec.deploy.predict.model import Model as Runnable
    from imgrec.studies.explain.examine import Examination

    Single: TypeAlias = "str | Path | bytes | UInt8Array | PILImage"

__all__ = ["Explanation", "Model", "load"]

_BATCH = 32
_WILD = "*?["
_ORIENTATION = 0x0112  # tag of EXIF


def load(path: str | Path, *, model: "nn.Module | None" = None, trust: Collection[str] = ()) -> "Model":
    """Load a trained model.

    Args:
        path: A checkpoint, a run folder, or a file that `imgrec export` wrote: .onnx, .safetensors, .pt2, .xml. A .pt2
            is a program: load only one that you trust.
        model: For a checkpoint whose network was an object from Python: an equal one, which gets the weights.
        trust: Classes that a checkpoint may name in `_target_` beyond imgrec, torch.nn and torchvision, such as
            `["mypackage.MyNet"]`; they are imported and called.

    Raises:
        ConfigError: No such file, or a folder without a model.
        CheckpointError, BundleError: The file is damaged, or not by imgrec.
        MissingExtraError: The runtime of the file is not installed.
    """
    found = find_model(Path(path))
    return Model(open_model(found, network=model, trust=trust), path=found)


class Model:
    """A classifier with its preprocessing, calibration and decision rules. Made by `imgrec.load`.

    Attributes:
        path: The file it was loaded from.
    """

    def __init__(self, runnable: "Runnable", *, path: Path) -> None:
        self.path = path
        self._runnable = runnable

    @property
    def class_names(self) -> list[str]:
        """The name of each class, in the order of the logits."""
        return list(self._runnable.class_names)

    @property
    def task(self) -> Task:
        """`"single"`, one class per image, or `"multilabel"`."""
        return self._runnable.task

    @property
    def preprocess(self) -> Preprocess:
        """From an image uint8 (H, W, 3) to what the network takes."""
        return self._runnable.preprocess

    @property
    def decisions(self) -> Decisions:
        """The temperature of the probabilities, and the decision rules."""
        return self._runnable.decisions

    def predict(self, images: Any, *, top_k: int | None = None, batch_size: int = _BATCH) -> Any:
        """Predict one image or many.

        Args:
            images: One image: a path, the bytes of an image file, a PIL image, a uint8 array (H, W, 3). Or many: a
                folder, a pattern such as `"photos/*.jpg"`, a uint8 array (N, H, W, 3), a list or any iterable of
                single images. Arrays are RGB.
            top_k: How many classes `probabilities` holds; None for all.
            batch_size: Images run at once.

        Returns:
            A `Prediction` for one image; a list in order for many; for a generator or other iterator a generator,
            which reads as it goes. Among many, an image that cannot be read has `error` and `detail`, and no
            prediction.

        Raises:
            ImageError: One image was given, and it cannot be read.
            DataError: A folder or pattern without images, or something that is not images at all.
        """
        check_count("batch_size", batch_size, at_least=1)
        if top_k is not None:
            check_count("top_k", top_k, at_least=1)
        single = _is_single(images)
        found = self._predict(_items([images] if single else images), top_k=top_k, batch_size=batch_size)
        if isinstance(images, Iterator):
            return found
        rows = list(found)
        if single and rows[0].error is not None:
            raise ImageError(rows[0].path or "image 0", rows[0].error, rows[0].detail or "it cannot be read")
        return rows[0] if single else rows

    def _predict(self, items: Iterator[Item], *, top_k: int | None, batch_size: int) -> Iterator[Prediction]:
        from imgrec.deploy.predict.pipeline import predict_items

        with _one_thread_each():
            yield from predict_items(
                items, self._runnable, batch_size=batch_size, threads=num_processors(), top_k=top_k
            )

    def embed(self, images: Any, *, batch_size: int = _BATCH) -> NDArray[np.float32]:
        """Return the features that enter the last layer, for images as `predict` takes them.

        Returns:
            float32 (N, D), N = 1 for one image.

        Raises:
            ConfigError: The file holds no network whose last layer is known: load a checkpoint of an imgrec model.
            ImageError: An image cannot be read.
        """
        from imgrec.models.inference import has_features, infer

        network = self._network(for_what="embed")
        if not has_features(network):
            raise ConfigError(f"The last layer of {type(network).__name__} is not known to imgrec: no features.")
        rows, batch = [], []
        items = list(_items([images] if _is_single(images) else images))
        for place, item in enumerate(items):
            batch.append(self._runnable.prepare(item.open()))
            if len(batch) == batch_size or place == len(items) - 1:
                rows.append(infer(network, [np.stack(batch)], with_features=True).features)
                batch = []
        return np.concatenate(rows)

    def explain(
        self, image: Any, *, method: str = "gradcam", target: str | None = None, baseline: str = "blurred"
    ) -> "Explanation":
        """Return a saliency map of one image, with the checks of whether it can be trusted.

        Args:
            image: One image, as for `predict`.
            method: `"gradcam"`, `"integrated_gradients"` or `"occlusion"`.
            target: Name of the class to explain; None for the most probable one.
            baseline: What stands for missing evidence: `"blurred"`, `"mean"` or `"black"`.

        Raises:
            ConfigError: A name that does not exist, or a file without a network: load the checkpoint.
            ImageError: The image cannot be read.
        """
        from imgrec.core.config.checks import check_choice
        from imgrec.studies.explain.examine import Examiner
        from imgrec.studies.explain.methods import GradCam, IntegratedGradients, Occlusion

        methods: Mapping[str, Any] = {
            "gradcam": GradCam, "integrated_gradients": IntegratedGradients, "occlusion": Occlusion
        }  # fmt: skip
        check_choice("method", method, list(methods))
        if target is not None:
            check_choice("target", target, self.class_names)
        if not _is_single(image):
            raise DataError("explain takes one image. Call it for each.")
        examiner = Examiner(
            self._network(for_what="explain"),
            methods=[methods[method]()],
            baseline=baseline,
            from_logits=self.decisions.probabilities,
        )
        (item,) = _items([image])
        pixels = self._runnable.prepare(item.open())
        probabilities = examiner.predict(pixels[None])[0]
        explained = target if target is not None else self.class_names[int(probabilities.argmax())]
        (found,) = examiner(pixels, target=self.class_names.index(explained))
        best = int(probabilities.argmax())
        return Explanation(item.name, explained, self.class_names[best], float(probabilities[best]), found)

    def export(self, output: str | Path = "model.onnx", *overrides: str, **options: Any) -> Path:
        """Write the model as a file that runs without PyTorch, once it gives the checkpoint's outputs on real images.

        Args:
            output: File to write: .onnx, .xml (OpenVINO), .pt2 or .safetensors.
            *overrides: Changes of the checkpoint's data, such as `"data.root=/mnt/photos"`.
            **options: As the flags of `imgrec export`: `int8=True`, `float16=True`, `input="image"`,
                `calibration="photos/"`, `images="photos/"`, `limit=1000`, `max_drop=1.0`, `overwrite=True`.

        Returns:
            The path of the file.

        Raises:
            ConfigError: Not a checkpoint, or options that exclude each other.
            ParityError: The file does not give the checkpoint's outputs; nothing is written.
        """
        from imgrec.deploy.export.checkpoint import export_checkpoint

        if getattr(self._runnable, "checkpoint", None) is None:
            raise ConfigError(f"{self.path} is an exported file. Export from the checkpoint.")
        export_checkpoint(self.path, Path(output), overrides=overrides, **options)
        return Path(output)

    def _network(self, *, for_what: str) -> "nn.Module":
        network: nn.Module | None = getattr(self._runnable, "network", None)
        if network is None or not hasattr(network, "named_modules"):
            raise ConfigError(f"{for_what} needs the network in PyTorch; {self.path} has none. Load the checkpoint.")
        return network

    def __repr__(self) -> str:
        names = ", ".join(self.class_names[:5]) + (", ..." if len(self.class_names) > 5 else "")
        return f"Model({str(self.path)!r}, task={self.task!r}, classes={len(self.class_names)}: {names})"

    def _repr_html_(self) -> str:
        rules = [*self.decisions.reject, *self.decisions.conformal, *self.decisions.operating_points]
        rows = {
            "file": str(self.path),
            "task": self.task,
            "classes": f"{len(self.class_names)}: {', '.join(self.class_names[:12])}",
            "preprocessing": str(self.preprocess),
            "temperature": f"{self.decisions.temperature:.3g}",
            "decision rules": ", ".join(rules) or "none",
        }
        cells = "".join(f"<tr><th>{name}</th><td>{escape(value)}</td></tr>" for name, value in rows.items())
        return f"<table>{cells}</table>"


@dataclass(frozen=True)
class Explanation:
    """A saliency map of one image with its checks; shows itself in a notebook.

    Attributes:
        path: Of the image; "" where it has none.
        target: The class that is explained.
        prediction: The most probable class, and `confidence` its probability.
        examination: The checks: deletion and insertion curves, weights randomised, the verdict.
    """

    path: str
    target: str
    prediction: str
    confidence: float
    examination: "Examination"

    @property
    def map(self) -> NDArray[Any]:
        """Float (H, W) of the preprocessed image; positive: the pixel speaks for the target."""
        return np.asarray(self.examination.saliency.values)

    @property
    def image(self) -> UInt8Array:
        """The preprocessed image, uint8 (H, W, 3)."""
        return self.examination.image

    @property
    def verdict(self) -> str:
        """`"trustworthy"`, `"weak"` or `"bad"`; see docs/explain.md."""
        return self.examination.verdict.grade

    @property
    def reason(self) -> str:
        """Why the verdict is so."""
        return self.examination.verdict.reason

    def figure(self) -> Any:
        """Return a matplotlib figure: image, map, map of randomised weights, curves, verdict."""
        from imgrec.studies.explain.panel import Caption, draw_panel

        probability = self.examination.probability
        return draw_panel(
            self.examination, Caption(self.path, "", self.prediction, self.confidence, self.target, probability)
        )

    def _repr_png_(self) -> bytes:
        from io import BytesIO

        data = BytesIO()
        self.figure().savefig(data, format="png")
        return data.getvalue()


def _is_single(images: Any) -> bool:
    if isinstance(images, str | Path):
        return not (Path(images).is_dir() or (set(_WILD) & set(str(images)) and not Path(images).exists()))
    if isinstance(images, np.ndarray):
        return images.ndim == 3
    return isinstance(images, bytes | bytearray | memoryview) or _is_pil(images)


def _is_pil(image: Any) -> bool:
    return type(image).__module__.startswith("PIL.") and hasattr(image, "convert")


def _items(images: Any) -> Iterator[Item]:
    """Yield an item for each image: nothing is read before its turn."""
    if isinstance(images, str | Path):
        images = _files(str(images))
    elif not isinstance(images, Iterable):
        raise DataError(f"A {type(images).__name__} is neither an image nor a list of images.")
    for number, image in zip(count(), images, strict=False):
        name = str(image) if isinstance(image, str | Path) else ""
        yield Item(name, partial(_open, image, name or f"image {number}"))


def _files(place: str) -> Sequence[str]:
    from imgrec.data.sources.walk import Walk

    if Path(place).is_dir():
        (files,) = Walk(inside=[str(Path(place).resolve())]).files([place])
    else:
        files = sorted(name for name in glob.glob(place, recursive=True) if Path(name).is_file())  # noqa: PTH207
    if not files:
        raise DataError(f"{place}: no images there.")
    return files


def _open(image: Any, name: str) -> LazyImage:
    """Open one image. Raises: ImageError: it cannot be read. DataError: nothing that can be an image."""
    from imgrec.data.images.image import read_regular_file

    if isinstance(image, str | Path):
        return image_from_bytes(read_regular_file(Path(image)), name=name)
    if isinstance(image, bytes | bytearray | memoryview):
        return image_from_bytes(bytes(image), name=name)
    if _is_pil(image):
        return DecodedImage(_from_pil(image, name))
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ImageError(
                name, "wrong_type", f"an array is uint8 (H, W, 3), RGB; this is {image.dtype} {image.shape}"
            )
        return DecodedImage(image)
    raise ImageError(
        name, "wrong_type", f"a {type(image).__name__} is no image: give a path, bytes, PIL image or array"
    )


def _from_pil(image: "PILImage", name: str) -> UInt8Array:
    """Return the pixels as reading its file would give them: lossless, so that one path decides all modes."""
    from io import BytesIO

    from PIL import Image

    from imgrec.data.images.image import decode_image

    data = BytesIO()
    try:
        image.load()  # first: Pillow turns a TIFF upright then, and drops the orientation from its EXIF
        orientation = image.getexif().get(_ORIENTATION, 1)
        if image.mode == "RGB" and orientation == 1:
            return np.asarray(image)
        exif = Image.Exif()
        exif[_ORIENTATION] = orientation
        image.save(data, "TIFF" if image.mode in ("CMYK", "YCbCr", "LAB", "F") else "PNG", exif=exif)
    except (OSError, ValueError) as error:
        raise ImageError(name, "unsupported", f"PIL mode {image.mode}: {error}") from error
    return decode_image(data.getvalue(), name=name)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Have torch compute on one thread for each of ours, where it is loaded; what was set comes back."""
    import sys

    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch is not None else 1
    if torch is not None:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if torch is not None:
            torch.set_num_threads(before)
