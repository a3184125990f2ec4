"""Find the layers whose outputs changed most when a graph was converted to a lower precision."""

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.data.samples import UInt8Array
from imgrec.deploy.bundle.bundle import INPUT

__all__ = ["Layer", "moved_layers"]

_MAX_IMAGES = 4
_AT_ONCE = 8  # tensors fetched in one run: each is as large as an activation of the network
_REPAIRED = "{}_DequantizeLinear_Output"  # name that onnxruntime gives a tensor after quantization and dequantization
_SILENT_DB = 200.0  # stands for a layer that did not change at all


@dataclass(frozen=True)
class Layer:
    """A layer's output before and after, over a few images.

    Attributes:
        name: Of the tensor in the graph.
        operator: Type of the operator that computes it.
        sqnr_db: Signal to quantization noise, 10 log10 of the sum of squares over the sum of squared differences; 20 dB
            is a relative error of 0.1.
        max_difference: Largest absolute difference.
    """

    name: str
    operator: str
    sqnr_db: float
    max_difference: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def moved_layers(before: Any, after: Any, images: Sequence[UInt8Array], *, count: int = 5) -> list[Layer]:
    """Return the `count` layers with the lowest signal to noise, the lowest first.

    Tensors are matched by name, which quantization keeps; one that fusion removed is skipped. The error of a layer
    includes the errors of all layers before it.

    Args:
        before: onnx.ModelProto with input "pixels".
        after: The same in lower precision.
        images: Preprocessed, uint8 (H, W, 3).
        count: Of layers.
    """
    operators = {name: node.op_type for node in before.graph.node for name in node.output}
    there = {name for node in after.graph.node for name in node.output}
    # Where an activation was fused into its layer, the 8-bit range clips: compare behind the dequantization.
    duplicates = {name: _REPAIRED.format(name) if _REPAIRED.format(name) in there else name for name in operators}
    names = [name for name in operators if duplicates[name] in there]
    batch = np.stack(images[:_MAX_IMAGES])
    layers = []
    for start in range(0, len(names), _AT_ONCE):
        some = names[start : start + _AT_ONCE]
        firsts = _values(before, some, batch)
        seconds = _values(after, [duplicates[name] for name in some], batch)
        for name, first, second in zip(some, firsts, seconds, strict=True):
            if np.issubdtype(first.dtype, np.floating) and first.size > first.shape[0]:
                layers.append(_compare(name, operators[name], first, second))
    return sorted(layers, key=lambda layer: layer.sqnr_db)[:count]


def _values(model: Any, names: Sequence[str], batch: UInt8Array) -> list[NDArray[Any]]:
    import onnx
    import onnxruntime

    model = copy.deepcopy(model)
    known = {output.name for output in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in known)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    values: list[NDArray[Any]] = session.run(list(names), {INPUT: batch})
    return values


def _compare(name: str, operator: str, first: NDArray[Any], second: NDArray[Any]) -> Layer:
    signal, noise = first.astype(np.float64), second.astype(np.float64) - first
    power, error = float((signal**2).sum()), float((noise**2).sum())
    sqnr_db = _SILENT_DB if error == 0 or power == 0 else 10 * float(np.log10(power / error))
    return Layer(name, operator, sqnr_db, float(np.abs(noise).max()))
