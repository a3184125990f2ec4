"""The model of `imgrec predict`: a bundle without torch, or a checkpoint with it."""

from pathlib import Path
from typing import TYPE_CHECKING

from imgrec.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from imgrec.deploy.predict.model import Model

__all__ = ["open_model"]

_CHECKPOINTS = (".ckpt", ".pt", ".pth")
_ZIP = b"PK\x03\x04"


def open_model(word: str) -> "Model":
    """Return what answers; each thread that calls it works alone, on one processor.

    Raises: ConfigError: no such file. BundleError, CheckpointError: it cannot be used. MissingExtraError.
    """
    path = Path(word)
    if path.is_dir():
        inside = next((name for name in ("model.onnx", "best.ckpt") if (path / name).is_file()), None)
        hint = f" Did you mean {path / inside}?" if inside else ""
        raise ConfigError(f"{word} is a folder; name the model first: model.onnx or best.ckpt.{hint}")
    if not path.exists():
        names = sorted(entry.name for entry in path.parent.iterdir()) if path.parent.is_dir() else []
        raise ConfigError(f"No model {word}.{did_you_mean(path.name, names)} Give a model.onnx or a best.ckpt.")
    return _open_checkpoint(word) if _is_checkpoint(path) else _open_bundle(path)


def _is_checkpoint(path: Path) -> bool:
    if path.suffix.lower() in _CHECKPOINTS:
        return True
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(len(_ZIP)) == _ZIP
    except OSError:
        return False  # the bundle's reader says why


def _open_bundle(path: Path) -> "Model":
    from imgrec.deploy.bundle import load_bundle

    return load_bundle(path, threads=1)


def _open_checkpoint(word: str) -> "Model":
    from imgrec.cli.inputs.checkpoint_data import read_checkpoint, sha256_of

    network, preprocess, info = read_checkpoint(word)
    import torch

    from imgrec.deploy.export.describe import describe
    from imgrec.deploy.predict.checkpoint_model import CheckpointModel

    torch.set_num_threads(1)
    sha256 = sha256_of(word)
    described = describe(network, preprocess, info, name=Path(word).name, sha256=sha256)
    return CheckpointModel(network, described, sha256=sha256)
