"""Read the tensors of an untrusted weights file: no code in it is run, and claimed sizes are checked.

Formats: .safetensors, and those of `torch.save` (.pt, .pth, .th, .ckpt): a state dict, or a checkpoint that has one.
"""

import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from imgrec.core.text import listed
from imgrec.errors import WeightsError

# Keys under which training programs store the network's tensors in a checkpoint, the usual one first.
WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "module", "ema", "model_ema", "state_dict_ema")


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the named tensors of a file, on the CPU and where possible memory-mapped.

    Raises:
        WeightsError: No such file; damaged; holds Python objects; holds no tensors; or a tensor claims more elements
            than the file has bytes for.
    """
    if re.match(r"\w\w+:/", str(path)):  # Path makes one slash of two
        raise WeightsError(f"{path} is a URL, not a file. Download it yourself, then give the path of the file.")
    if not path.is_file():
        raise WeightsError(f"There is no weights file at {path}.")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    tensors = _find_tensors(content, path=path)
    for name, tensor in tensors.items():
        _check_memory(tensor, name=name, path=path)
    return tensors


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is damaged, or no .safetensors file: {_first_line(error)}.") from error


def _read_torch(path: Path) -> Any:
    is_zip = _is_archive(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except pickle.UnpicklingError as error:
        forbidden = re.search(r"GLOBAL (\S+)", str(error))
        if forbidden is None:
            raise WeightsError(f"{path} is damaged, or not a file of weights.") from error
        raise WeightsError(
            f"{path} contains Python objects ({forbidden[1]}): not loaded, because opening them can run any program. "
            "If you trust the file, save its state_dict alone, best as .safetensors, and give that."
        ) from error
    except Exception as error:  # the content may be anything, and torch raises many kinds of exceptions
        raise WeightsError(f"{path} is damaged, or not a file of weights: {_first_line(error)}.") from error


def _is_archive(path: Path) -> bool:
    """Return whether it is a ZIP archive, the format since torch 1.6; older files cannot be memory-mapped.

    Raises:
        WeightsError: The archive is damaged, or unpacks to more than its size: torch.save never compresses.
    """
    try:
        if not zipfile.is_zipfile(path):
            return False
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise WeightsError(f"{path} is damaged: {_first_line(error)}.") from error
    if unpacked > path.stat().st_size:
        raise WeightsError(f"{path} would unpack to {unpacked / 1e6:.0f} MB, more than its own size: not loaded.")
    return True


def _find_tensors(content: Any, *, path: Path) -> dict[str, Tensor]:
    """Take the state dict out of its wrappers, which nest (at most three deep: a file may contain itself)."""
    for _ in range(3):
        if not isinstance(content, Mapping):
            break
        inner = [content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping)]
        if not inner:
            break
        content = inner[0]
    entries = content.items() if isinstance(content, Mapping) else ()
    tensors = {name: value for name, value in entries if isinstance(name, str) and isinstance(value, Tensor)}
    if not tensors:
        keys = listed([key for key, _ in entries], limit=6) or type(content).__name__
        raise WeightsError(f"No named tensors in {path}; it holds: {keys}.")
    return tensors


def _check_memory(tensor: Tensor, *, name: str, path: Path) -> None:
    """Check that a tensor has the bytes of its elements: strides of 0 make 10^12 elements out of four bytes."""
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
        raise WeightsError(f"{path}: {name} is not a plain dense tensor ({tensor.layout}, {tensor.dtype}): not loaded.")
    if tensor.numel() * tensor.element_size() > min(tensor.untyped_storage().nbytes(), path.stat().st_size):
        raise WeightsError(
            f"{path}: {name} claims {tensor.numel():,} elements, and the file does not have their bytes: not loaded."
        )


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0].rstrip(".")[:160] or type(error).__name__
