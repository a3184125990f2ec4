"""A trained model for use from Python: load it, predict, embed, explain, export."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imgrec.core.config.checks import check_count
from imgrec.core.system.hardware import num_processors
from imgrec.data.images.preprocess import Preprocess
from imgrec.data.samples import Task
from imgrec.deploy.predict.given_images import check_kind, is_single, items_of
from imgrec.deploy.predict.item import Item
from imgrec.deploy.predict.open_model import find_model, open_model
from imgrec.errors import ConfigError, DataError, ImageError
from imgrec.evaluation.decisions import Decisions, Prediction

if TYPE_CHECKING:
    from torch import nn

    from imgrec.deploy.predict.model import Model as Runnable
    from imgrec.studies.explain.explanation import Explanation

__all__ = ["Model", "load"]

_BATCH = 32


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
    if not isinstance(path, str | Path) or not str(path):
        raise ConfigError(f"A model is named by a path, not by {path!r}.")
    if model is not None and (isinstance(model, type) or not hasattr(model, "load_state_dict")):
        raise ConfigError("model is a network for the weights of the checkpoint: an nn.Module, such as MyNet(10).")
    found = find_model(Path(path))
    return Model(open_model(found, network=model, trust=tuple(trust)), path=found)


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
        check_kind(images)
        if top_k is not None:
            check_count("top_k", top_k, at_least=1)
        single = is_single(images)
        found = self._predict(items_of([images] if single else images), top_k=top_k, batch_size=batch_size)
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

        check_count("batch_size", batch_size, at_least=1)
        check_kind(images)
        network = self._network(for_what="embed")
        if not has_features(network):
            raise ConfigError(f"The last layer of {type(network).__name__} is not known to imgrec: no features.")
        rows, batch = [], []
        items = list(items_of([images] if is_single(images) else images))
        for place, item in enumerate(items):
            batch.append(self._runnable.prepare(item.open()))
            if len(batch) == batch_size or place == len(items) - 1:
                rows.append(infer(network, [np.stack(batch)], with_features=True).features)
                batch = []
        if not rows:
            raise DataError("No images were given.")
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
        from imgrec.studies.explain.explanation import Explanation
        from imgrec.studies.explain.methods import GradCam, IntegratedGradients, Occlusion

        methods: Mapping[str, Any] = {
            "gradcam": GradCam, "integrated_gradients": IntegratedGradients, "occlusion": Occlusion
        }  # fmt: skip
        check_choice("method", method, list(methods))
        if target is not None:
            check_choice("target", target, self.class_names)
        check_kind(image)
        if not is_single(image):
            raise DataError("explain takes one image, as predict does. Call it for each.")
        examiner = Examiner(
            self._network(for_what="explain"),
            methods=[methods[method]()],
            baseline=baseline,
            from_logits=self.decisions.probabilities,
        )
        (item,) = items_of([image])
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
        export_checkpoint(
            self.path, Path(output), overrides=overrides, network=self._network(for_what="export"), **options
        )
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
