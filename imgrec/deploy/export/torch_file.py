"""Export for PyTorch: `.pt2` needs torch alone; `.safetensors` holds no code.

    program, info = load_pt2("model.pt2")                   # program(images): uint8 (N, 3, H, W) -> logits (N, C)
    network, info = load_safetensors("model.safetensors")   # an imgrec network, to train on

Both carry the description of a bundle. A `.pt2` is a program: load only one that you trust.
"""

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from imgrec.core.config.build import build_from_checkpoint
from imgrec.core.files.atomic_write import write_bytes
from imgrec.deploy.bundle import BundleInfo
from imgrec.deploy.bundle.document import DOCUMENT_KEY
from imgrec.deploy.export.gate import judge, run_reference, stop_if_failed, write_report
from imgrec.deploy.export.outputs import ImageSet, Progress, logits_of_network
from imgrec.errors import BundleError, ImgrecError
from imgrec.evaluation.restore import load_exactly

__all__ = ["export_torch", "load_pt2", "load_safetensors"]

_MODEL_KEY = "model"  # of the metadata: configuration of the network
_EXTRA_FILE = "imgrec.json"
_EXAMPLE_BATCH = 2


def export_torch(
    network: nn.Module,
    info: BundleInfo,
    path: Path,
    *,
    model: Mapping[str, Any],
    images: ImageSet,
    say: Callable[[str], None],
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write `network` as .pt2 or .safetensors, by the suffix of `path`, if the file read back passes the check.

    `model` is the checkpoint's configuration of the network; the rest as for `export_bundle`.
    """
    reference = run_reference(network, info, images, say=say, progress=progress)
    say("Building the file")
    if path.suffix == ".pt2":
        data = _to_pt2(network, info)
        again: Callable[[Tensor], Tensor] = _from_pt2(io.BytesIO(data))[0]
    else:
        data = _to_safetensors(network, info, model)
        again = _from_safetensors(data, name=path.name)[0]
    say("Running the file on the same images")
    outputs = logits_of_network(again, info.preprocess, images, progress=progress)
    gate = judge(images, reference, outputs, info=info, max_drop=0)
    stop_if_failed(gate, path)
    write_bytes(path, data)
    report = {**gate.to_dict(), "size_bytes": len(data)}
    write_report(path, report)
    return report


def load_pt2(path: str | Path) -> tuple[Callable[[Tensor], Tensor], BundleInfo]:
    """Return the program of a .pt2 and its description.

    Returns:
        A function from images uint8 (N, 3, H, W) to logits (N, C), and the description.

    Raises:
        BundleError: Not a .pt2 that imgrec wrote.
    """
    try:
        return _from_pt2(io.BytesIO(Path(path).read_bytes()))
    except ImgrecError:
        raise
    except Exception as error:  # whatever torch raises for other bytes
        raise BundleError(f"{path} cannot be read as .pt2: {str(error).splitlines()[0][:200]}") from error


def load_safetensors(path: str | Path) -> tuple[nn.Module, BundleInfo]:
    """Return the network of a .safetensors, in evaluation mode, and its description. No code in the file is run.

    Raises:
        BundleError: Damaged, or not written by imgrec.
        CheckpointError: It names a class outside the allow-list.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror}.") from None
    return _from_safetensors(data, name=str(path))


def _to_pt2(network: nn.Module, info: BundleInfo) -> bytes:
    height, width = info.preprocess.height_width or (224, 192)
    dimensions: dict[int, Any] = {0: torch.export.Dim("batch")}
    if info.preprocess.height_width is None:
        dimensions |= {2: torch.export.Dim("height", min=8), 3: torch.export.Dim("width", min=8)}
    example = torch.zeros(_EXAMPLE_BATCH, 3, height, width, dtype=torch.uint8)
    program = torch.export.export(network, (example,), dynamic_shapes=(dimensions,))
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files={_EXTRA_FILE: info.to_json().decode()})
    return buffer.getvalue()


def _from_pt2(file: io.BytesIO) -> tuple[Callable[[Tensor], Tensor], BundleInfo]:
    extra = {_EXTRA_FILE: ""}
    program = torch.export.load(file, extra_files=extra)
    text = extra[_EXTRA_FILE]
    return program.module(), BundleInfo.from_json(text.decode() if isinstance(text, bytes) else text)


def _to_safetensors(network: nn.Module, info: BundleInfo, model: Mapping[str, Any]) -> bytes:
    from safetensors.torch import save

    tensors = {name: tensor.detach().clone().contiguous() for name, tensor in network.state_dict().items()}
    # The pretrained weights are in the tensors; their file may not exist where this is loaded.
    described = json.dumps({**model, "weights": None}, sort_keys=True)
    return save(tensors, metadata={DOCUMENT_KEY: info.to_json().decode(), _MODEL_KEY: described})


def _from_safetensors(data: bytes, *, name: str) -> tuple[nn.Module, BundleInfo]:
    from safetensors.torch import load

    try:
        tensors = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        metadata = header["__metadata__"]
        info, model = BundleInfo.from_json(metadata[DOCUMENT_KEY]), json.loads(metadata[_MODEL_KEY])
    except BundleError as error:
        raise BundleError(f"{name}: {error}.") from None
    except Exception as error:  # SafetensorError, KeyError, UnicodeDecodeError, ...
        raise BundleError(f"{name} is damaged, or not a .safetensors that imgrec wrote ({error!r}).") from error
    network: nn.Module = build_from_checkpoint(model, None, key="model", weights=None)
    load_exactly(network, tensors, name=name)
    return network.eval(), info
