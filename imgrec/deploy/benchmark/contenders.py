"""Models in the installed runtimes, as functions of images."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgrec.data.images.preprocess import Preprocess
from imgrec.data.samples import UInt8Array
from imgrec.deploy.benchmark.measure import Contender
from imgrec.deploy.bundle import load_bundle

if TYPE_CHECKING:
    from torch import nn

__all__ = ["of_bundle", "of_network", "of_openvino"]

PHOTO = (375, 500)  # height, width for a bundle that takes any size


def of_network(network: "nn.Module", preprocess: Preprocess, path: Path, *, compiled: bool) -> list[Contender]:
    """Return a network in PyTorch: eager float32, eager bfloat16 (channels_last), and both compiled if `compiled`."""
    import copy

    import torch

    size = preprocess.height_width or PHOTO
    half = copy.deepcopy(network).to(memory_format=torch.channels_last)
    ways: list[tuple[str, Callable[[Any], Any]]] = [("PyTorch float32", network), ("PyTorch bfloat16", _in_bf16(half))]
    if compiled:
        fast, fast_half = (torch.compile(module, dynamic=False) for module in (network, half))
        ways += [("PyTorch compiled float32", fast), ("PyTorch compiled bfloat16", _in_bf16(fast_half))]
    return [Contender(f"{path.name}: {name}", _from_pixels(run), size, path.stat().st_size) for name, run in ways]


def of_bundle(path: Path, *, threads: int) -> list[Contender]:
    """Return a bundle in onnxruntime and, where OpenVINO is installed and the graph takes pixels, in OpenVINO too."""
    bundle = load_bundle(path, threads=threads)
    is_image = bundle.info.input == "image"
    size = PHOTO if is_image else bundle.preprocess.height_width or PHOTO
    name = f"{path.name}: onnxruntime {bundle.info.precision}{' (image)' if is_image else ''}"
    contenders = [Contender(name, bundle.run, size, path.stat().st_size)]
    if not is_image and bundle.info.precision == "float32" and find_spec("openvino") is not None:
        contenders += of_openvino(path, size=size, threads=threads)
    return contenders


def of_openvino(path: Path, *, size: tuple[int, int], threads: int) -> list[Contender]:
    """Return a file (.onnx or .xml) in OpenVINO, at the precision that OpenVINO chooses for this processor."""
    import openvino

    core = openvino.Core()
    options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
    request = core.compile_model(str(path), "CPU", options).create_infer_request()
    total = sum(file.stat().st_size for file in {path, path.with_suffix(".bin")} if file.exists())

    def run(images: UInt8Array) -> Any:
        return request.infer([images])

    return [Contender(f"{path.name}: OpenVINO", run, size, total)]


def _from_pixels(run: Callable[[Any], Any]) -> Callable[[UInt8Array], Any]:
    from imgrec.models.inference import infer

    return lambda images: infer(run, [images]).logits


def _in_bf16(run: Callable[[Any], Any]) -> Callable[[Any], Any]:
    import torch

    def run_in_bf16(images: Any) -> Any:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return run(images.to(memory_format=torch.channels_last))

    return run_in_bf16
