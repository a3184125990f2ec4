"""Convert a network in PyTorch to an ONNX graph that holds no paths of this machine."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

import torch
from torch import Tensor, nn

from imgrec.deploy.bundle.bundle import INPUT, MAX_BYTES, OUTPUT
from imgrec.errors import BundleError, MissingExtraError

__all__ = ["OPSET", "make_graph", "require_onnx", "strip"]

OPSET = 18  # the oldest that torch's exporter writes without conversion, for the widest support

_EXAMPLE_BATCH = 2  # torch.export treats a size of 1 in the example as a constant


class PixelsToLogits(nn.Module):
    """A network that takes images in the layout of decoders: (N, H, W, 3) -> logits (N, C)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Images uint8 (N, H, W, 3) -> logits (N, C)."""
        logits: Tensor = self.network(images.permute(0, 3, 1, 2))
        return logits


def require_onnx() -> None:
    """Raise MissingExtraError where a package for the export is not installed."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        try:
            __import__(package)
        except ImportError:
            raise MissingExtraError(package, "export") from None


def make_graph(network: nn.Module, *, height: int | None, width: int | None) -> Any:
    """Return the onnx.ModelProto of a network: `images` uint8 (N, height, width, 3) -> `logits` float32 (N, C).

    Args:
        network: Images (N, 3, H, W), 0-255, to logits; in evaluation mode, on the CPU.
        height: Of the images; None for any.
        width: Of the images; None for any.

    Raises:
        BundleError: torch cannot export it, or it is too large for one file.
    """
    require_onnx()
    batch = torch.export.Dim("batch")
    dimensions: dict[int, Any] = {0: batch}
    if height is None or width is None:
        dimensions |= {1: torch.export.Dim("height", min=8), 2: torch.export.Dim("width", min=8)}
    example = torch.zeros(_EXAMPLE_BATCH, height or 224, width or 192, 3, dtype=torch.uint8)
    try:
        with _quiet():
            program = torch.onnx.export(
                PixelsToLogits(network).eval(),
                (example,),
                dynamo=True,
                dynamic_shapes={INPUT: dimensions},
                input_names=[INPUT],
                output_names=[OUTPUT],
                opset_version=OPSET,
                verbose=False,
            )
    except Exception as error:  # torch.onnx.OnnxExporterError, and what decompositions raise
        reason = str(error).strip().splitlines()[0][:300]
        raise BundleError(f"This model cannot be exported to ONNX: {reason}") from error
    assert program is not None
    model = program.model_proto
    if model.ByteSize() >= MAX_BYTES:
        raise BundleError(
            f"The model has {model.ByteSize():,} bytes; an ONNX file holds less than {MAX_BYTES:,}. "
            "Export it as --output model.safetensors."
        )
    strip(model)
    return model


def strip(model: Any) -> None:
    """Remove file names of this machine, sources of operators, unused constants and operator sets."""
    import onnx

    del model.metadata_props[:]
    graph = model.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    graph.name = "imgrec"
    del graph.value_info[:]
    wanted = {name for node in graph.node for name in node.input}
    constants = [constant for constant in graph.initializer if constant.name in wanted]
    del graph.initializer[:]
    graph.initializer.extend(constants)
    used = {node.domain for node in graph.node}
    kept = [entry for entry in model.opset_import if entry.domain in used or not entry.domain]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    model.producer_name, model.producer_version, model.doc_string = "imgrec", "", ""
    onnx.checker.check_model(model)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's messages, which are about the exporter."""
    names = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
