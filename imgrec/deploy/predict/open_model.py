"""Open any file that can predict: a bundle without torch, the others with what they need."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgrec.core.files.digest import sha256_of
from imgrec.errors import BundleError, ConfigError, did_you_mean

if TYPE_CHECKING:
    from torch import nn

    from imgrec.deploy.predict.model import Model

__all__ = ["find_model", "open_model"]

IN_FOLDER = ("best.ckpt", "model.onnx")  # what a folder stands for, the first that it holds
_CHECKPOINTS = (".ckpt", ".pt", ".pth")
_ZIP, _ONNX = b"PK\x03\x04", b"\x08"  # how such files begin


def find_model(path: Path) -> Path:
    """Return the model file that a path names: the file itself, or the best checkpoint or bundle in a folder.

    Raises:
        ConfigError: No such file, or a folder without a model.
    """
    if path.is_dir():
        found = next((path / name for name in IN_FOLDER if (path / name).is_file()), None)
        if found is None:
            raise ConfigError(f"{path} is a folder without {' or '.join(IN_FOLDER)}. Name the model file.")
        return found
    if not path.exists():
        names = sorted(entry.name for entry in path.parent.iterdir()) if path.parent.is_dir() else []
        raise ConfigError(f"No model {path}.{did_you_mean(path.name, names)} Give a model.onnx or a best.ckpt.")
    return path


def open_model(path: Path, *, network: "nn.Module | None" = None, trust: Collection[str] = ()) -> "Model":
    """Open a model file for prediction; each thread that calls the model computes on one processor.

    Args:
        path: A checkpoint, or a file that `imgrec export` wrote: .onnx, .safetensors, .pt2, .xml.
        network: For a checkpoint whose network was an object of the caller's: an equal one, which gets the weights.
        trust: Classes outside the allow-list that a checkpoint may name, such as `"mypackage.MyNet"`.

    Raises:
        BundleError, CheckpointError: The file cannot be used.
        MissingExtraError: A runtime is not installed.
    """
    openers: dict[str, Callable[[Path], Model]] = {
        ".safetensors": _open_safetensors, ".pt2": _open_pt2, ".xml": _open_openvino
    }  # fmt: skip
    if path.suffix.lower() in openers:
        return openers[path.suffix.lower()](path)
    start = _start(path)
    if path.suffix.lower() in _CHECKPOINTS or start == _ZIP:
        return _open_checkpoint(path, network, trust)
    if path.suffix.lower() == ".onnx" or start is None or start.startswith(_ONNX):
        return _open_bundle(path)
    kinds = ", ".join([".onnx", *openers])
    raise BundleError(
        f"{path} is not a model file. Give a checkpoint ({', '.join(_CHECKPOINTS)}), a file that `imgrec export` wrote "
        f"({kinds}), or the folder of a run."
    )


def _start(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(len(_ZIP))
    except OSError:
        return None  # the bundle's reader reports it


def _open_bundle(path: Path) -> "Model":
    from imgrec.deploy.bundle import load_bundle

    return load_bundle(path, threads=1)


def _open_checkpoint(path: Path, network: "nn.Module | None", trust: Collection[str]) -> "Model":
    from imgrec.core.system.lean_imports import lean_imports

    with lean_imports():
        from imgrec.evaluation.restore import load_classifier
    from imgrec.deploy.export.describe import describe

    loaded = load_classifier(path, network=network, trust=trust)
    sha256 = sha256_of(path)
    info = describe(loaded.network, loaded.preprocess, loaded.info, name=path.name, sha256=sha256)
    return _torch_model(loaded.network, info, sha256=sha256, checkpoint=loaded.info)


def _open_safetensors(path: Path) -> "Model":
    from imgrec.deploy.export.torch_file import load_safetensors

    return _torch_model(*load_safetensors(path), sha256=sha256_of(path))


def _open_pt2(path: Path) -> "Model":
    from imgrec.deploy.export.torch_file import load_pt2

    return _torch_model(*load_pt2(path), sha256=sha256_of(path))


def _torch_model(network: Any, info: Any, **known: Any) -> "Model":
    from imgrec.deploy.predict.checkpoint_model import CheckpointModel

    return CheckpointModel(network, info, **known)


def _open_openvino(path: Path) -> "Model":
    from imgrec.deploy.predict.openvino_model import OpenVinoModel

    return OpenVinoModel(path)
