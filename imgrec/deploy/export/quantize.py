"""Static quantization (QDQ) to 8-bit weights and activations with onnxruntime.

Weights: int8, symmetric, a scale per output channel. Activations: uint8, with the range seen on the calibration images.
Processors with VNNI multiply these at four times the speed of float32.
"""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from imgrec.data.samples import UInt8Array
from imgrec.deploy.bundle.bundle import INPUT, OUTPUT
from imgrec.deploy.export.graph import strip
from imgrec.errors import BundleError

__all__ = ["to_int8"]

_BATCH = 8
# In transformers only these are quantized: attention and layer normalisation lose most accuracy and gain least speed.
_TRANSFORMER_MARK = "LayerNormalization"
_TRANSFORMER_TYPES = ["Conv", "Gemm", "MatMul"]


def to_int8(graph: Any, calibration: Sequence[UInt8Array]) -> Any:
    """Return the onnx.ModelProto in 8 bits.

    Args:
        graph: In float32.
        calibration: Preprocessed images, uint8 (H, W, 3).

    Raises:
        BundleError: No image to calibrate with.
    """
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    if not calibration:
        raise BundleError("No images to calibrate with. Give a folder: --calibration FOLDER.")
    is_transformer = any(node.op_type == _TRANSFORMER_MARK for node in graph.graph.node)
    with tempfile.TemporaryDirectory(prefix="imgrec-") as folder, _quiet():
        path = Path(folder) / "int8.onnx"
        quantize_static(
            onnx.shape_inference.infer_shapes(graph),
            path,
            _CalibrationImages(calibration),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"CalibMovingAverage": True},  # average over batches: one outlier does not widen the range
            op_types_to_quantize=_TRANSFORMER_TYPES if is_transformer else None,
            nodes_to_exclude=_before_the_first_layer(graph),
        )
        graph = onnx.load(path)
    _keep_logits_whole(graph)
    _spread_channel_constants(graph)
    strip(graph)
    return graph


def _before_the_first_layer(graph: Any) -> list[str]:
    """Return the names of the operators that normalise: the pixels are 8-bit, and requantizing them loses precision."""
    names = []
    for node in graph.graph.node:
        if node.op_type in _TRANSFORMER_TYPES:
            break
        names.append(node.name)
    return names


def _keep_logits_whole(graph: Any) -> None:
    """Keep the output of the last layer in float32: rounded to 256 steps, different logits would become equal."""
    makers = {name: node for node in graph.graph.node for name in node.output}
    dequantize = makers[OUTPUT]
    quantize = makers.get(dequantize.input[0])
    if dequantize.op_type != "DequantizeLinear" or quantize is None or quantize.op_type != "QuantizeLinear":
        return
    layer = makers[quantize.input[0]]
    layer.output[:] = [OUTPUT if name == quantize.input[0] else name for name in layer.output]
    graph.graph.node.remove(quantize)
    graph.graph.node.remove(dequantize)


def _spread_channel_constants(graph: Any) -> None:
    """Expand the constants of the normalisation to full planes when the graph is loaded.

    onnxruntime runs 8-bit graphs with the channels last, where broadcasting three constants per pixel takes a sixth of
    the time of resnet18. Only where the graph has a fixed image size.
    """
    from onnx import helper, numpy_helper

    dims = graph.graph.input[0].type.tensor_type.shape.dim
    height, width = dims[-3].dim_value, dims[-2].dim_value
    if not (height and width):
        return
    plane = numpy_helper.from_array(np.array([3, height, width], dtype=np.int64), "plane")
    spread = {one.name: f"{one.name}_plane" for one in graph.graph.initializer if list(one.dims) == [3, 1, 1]}
    normalising = set(_before_the_first_layer(graph))
    used = set()
    for node in graph.graph.node:
        if node.name in normalising:
            used |= spread.keys() & set(node.input)
            node.input[:] = [spread.get(name, name) for name in node.input]
    if used:
        graph.graph.initializer.append(plane)
    for name in sorted(used):
        graph.graph.node.insert(0, helper.make_node("Expand", [name, "plane"], [spread[name]]))


class _CalibrationImages:
    """Batches for onnxruntime's calibration."""

    def __init__(self, images: Sequence[UInt8Array]) -> None:
        starts = range(0, len(images), _BATCH)
        self._batches: Iterator[UInt8Array] = (np.stack(images[start : start + _BATCH]) for start in starts)

    def get_next(self) -> dict[str, UInt8Array] | None:
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch}


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the root logger's warnings about a preprocessing step that has been done."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
