"""`Preprocess` as the first operators of a graph, which then takes one decoded image of any size."""

from typing import Any

import numpy as np

from imgrec.data.images.preprocess import Preprocess
from imgrec.deploy.bundle.bundle import INPUT
from imgrec.deploy.export.image_axes import Axis, axes_of, is_inside
from imgrec.deploy.export.image_resample import nearest, resample
from imgrec.deploy.export.nodes import Nodes

__all__ = ["add_image_stage"]

_PREFIX = "image/"


def add_image_stage(model: Any, preprocess: Preprocess) -> None:
    """Change the input of a graph from pixels (N, height, width, 3) to an image uint8 (height, width, 3) of any size.

    An image so narrow that "crop" would resize it to more than 32 million pixels is cropped after resizing, where
    `Preprocess` crops before; the graph computes only the cropped part, at any size.
    """
    from onnx import TensorProto, helper

    nodes = Nodes(_PREFIX)
    pixels = f"{_PREFIX}pixels"
    for node in model.graph.node:
        node.input[:] = [pixels if name == INPUT else name for name in node.input]
    fixed = preprocess.height_width if preprocess.mode == "none" else None
    shape: list[str | int | None] = [*(fixed or ("height", "width")), 3]
    result = INPUT if preprocess.mode == "none" else _resize(nodes, preprocess)
    nodes("Unsqueeze", result, nodes.constant([0], np.int64), name=pixels)
    before = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes.nodes, *before])
    model.graph.initializer.extend(nodes.constants)
    del model.graph.input[:]
    model.graph.input.append(helper.make_tensor_value_info(INPUT, TensorProto.UINT8, shape))
    dimension = model.graph.output[0].type.tensor_type.shape.dim[0]
    dimension.dim_value = 1


def _resize(nodes: Nodes, preprocess: Preprocess) -> str:
    rows, columns = axes_of(nodes, preprocess)
    if preprocess.interpolation == "nearest":
        image = nodes("Gather", INPUT, nearest(nodes, rows), axis=0)
        image = nodes("Gather", image, nearest(nodes, columns), axis=1)
    else:
        image = resample(nodes, rows, columns, preprocess.interpolation)
    return _pad(nodes, image, rows, columns, preprocess.fill) if preprocess.mode == "letterbox" else str(image)


def _pad(nodes: Nodes, image: str, rows: Axis, columns: Axis, fill: int | tuple[int, int, int]) -> str:
    """Return the image with `fill` in the padding."""
    is_row, is_column = (is_inside(nodes, axis) for axis in (rows, columns))
    is_row = nodes("Unsqueeze", is_row, nodes.constant([1, 2], np.int64))
    is_column = nodes("Unsqueeze", is_column, nodes.constant([0, 2], np.int64))
    colour = nodes.constant((fill,) * 3 if isinstance(fill, int) else fill, np.uint8)
    return str(nodes("Where", nodes("And", is_row, is_column), image, colour))
