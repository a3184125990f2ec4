"""Geometry of `Preprocess` as ONNX operators: position of each output pixel in an image of any size."""

from dataclasses import dataclass

import numpy as np

from imgrec.data.images.preprocess import Preprocess
from imgrec.deploy.bundle.bundle import INPUT
from imgrec.deploy.export.nodes import Nodes

__all__ = ["Axis", "axes_of", "inside", "is_inside", "places"]


@dataclass(frozen=True)
class Axis:
    """One axis of the resize; `size`, `resized` and `start` are names of float64 values in the graph.

    Attributes:
        size: Of the image, pixels.
        resized: Of the resized image, pixels.
        start: Position of the first output pixel in the resized image; below 0 is padding.
        length: Of the output, pixels.
    """

    size: str
    resized: str
    start: str
    length: int


def axes_of(nodes: Nodes, preprocess: Preprocess) -> tuple[Axis, Axis]:
    """Return rows and columns of the output of `preprocess`, whose mode is not "none"."""
    assert preprocess.height_width is not None
    shape = nodes("Shape", INPUT)
    sizes = [nodes("Gather", shape, nodes.constant(axis, np.int64)) for axis in (0, 1)]
    make = {"crop": _crop_axes, "squash": _squash_axes, "letterbox": _letterbox_axes}[preprocess.mode]
    return make(nodes, preprocess, sizes[0], sizes[1])


def _crop_axes(nodes: Nodes, preprocess: Preprocess, height: str, width: str) -> tuple[Axis, Axis]:
    """Build the operators of `Preprocess._covering_size` and `_crop_place`."""
    assert preprocess.height_width is not None
    crop_height, crop_width = preprocess.height_width
    shorter = min(crop_height, crop_width)
    resize = round(shorter / 0.875) if preprocess.resize is None else preprocess.resize
    cover_height = nodes.constant(crop_height * resize // shorter, np.int64)
    cover_width = nodes.constant(crop_width * resize // shorter, np.int64)
    by_height, by_width = nodes("Mul", width, cover_height), nodes("Mul", height, cover_width)
    is_wide = nodes("GreaterOrEqual", by_height, by_width)
    resized_width = nodes("Where", is_wide, nodes("Div", by_height, height), cover_width)
    resized_height = nodes("Where", is_wide, cover_height, nodes("Div", by_width, width))
    return (
        _cropped(nodes, height, resized_height, crop_height),
        _cropped(nodes, width, resized_width, crop_width),
    )


def _cropped(nodes: Nodes, size: str, resized: str, length: int) -> Axis:
    resized = double(nodes, resized)
    margin = nodes("Sub", resized, nodes.number(length))
    start = nodes("Round", nodes("Mul", margin, nodes.number(0.5)))  # to even, as Python's
    return Axis(double(nodes, size), resized, start, length)


def _squash_axes(nodes: Nodes, preprocess: Preprocess, height: str, width: str) -> tuple[Axis, Axis]:
    assert preprocess.height_width is not None
    rows, columns = (
        Axis(double(nodes, size), nodes.number(length), nodes.number(0), length)
        for size, length in zip((height, width), preprocess.height_width, strict=True)
    )
    return rows, columns


def _letterbox_axes(nodes: Nodes, preprocess: Preprocess, height: str, width: str) -> tuple[Axis, Axis]:
    """Build the operators of `Preprocess._inner_size` and `_padded`."""
    assert preprocess.height_width is not None
    sizes = [double(nodes, height), double(nodes, width)]
    lengths = preprocess.height_width
    scales = [nodes("Div", nodes.number(length), size) for length, size in zip(lengths, sizes, strict=True)]
    scale = nodes("Min", *scales)
    axes = []
    for size, length in zip(sizes, lengths, strict=True):
        inner = nodes("Max", nodes("Round", nodes("Mul", size, scale)), nodes.number(1))
        inner = nodes("Min", inner, nodes.number(length))
        margin = nodes("Sub", nodes.number(length), inner)
        padding = nodes("Floor", nodes("Mul", margin, nodes.number(0.5)))
        axes.append(Axis(size, inner, nodes("Neg", padding), length))
    return axes[0], axes[1]


def double(nodes: Nodes, name: str) -> str:
    from onnx import TensorProto

    return str(nodes("Cast", name, to=TensorProto.DOUBLE))


def places(nodes: Nodes, axis: Axis) -> str:
    """Return positions of the output pixels in the resized image, float64 (length,); padding is outside it."""
    return str(nodes("Add", axis.start, nodes.number(np.arange(axis.length))))


def inside(nodes: Nodes, axis: Axis) -> str:
    """Return the same positions, with those in the padding clamped to the nearest pixel."""
    last = nodes("Sub", axis.resized, nodes.number(1))
    return str(nodes("Max", nodes("Min", places(nodes, axis), last), nodes.number(0)))


def is_inside(nodes: Nodes, axis: Axis) -> str:
    """Return which output pixels lie in the resized image and not in the padding, bool (length,)."""
    where = places(nodes, axis)
    is_after = nodes("GreaterOrEqual", where, nodes.number(0))
    return str(nodes("And", is_after, nodes("Less", where, axis.resized)))
