"""Pillow's resize as ONNX operators.

ONNX's Resize differs from Pillow's: it keeps fractions between the two passes, Pillow rounds to 8 bits after each. The
passes are therefore two matrix products, whose coefficients the graph computes from the image size as Pillow does
(libImaging/Resample.c, `precompute_coeffs` and `normalize_coeffs_8bpc`): in float64, then rounded to multiples of
2^-22.

Sums of products of 8 and 22 bits need 30 bits, and float32 has 24. Each coefficient is therefore split into its high
and its low 11 bits: both sums, and the shifts that combine them, are integers that float32 holds exactly. The result
equals Pillow's bit for bit wherever float32 products are not reduced (bf16, tf32) and an output pixel depends on at
most 32 pixels per axis; beyond that the last bit may differ.

Pillow 13 resizes vertically first where that is less work; the graph follows the Pillow it was exported with.
"""

import functools
import math

import numpy as np
from PIL import Image

from imgrec.deploy.bundle.bundle import INPUT
from imgrec.deploy.export.image_axes import Axis, inside
from imgrec.deploy.export.nodes import Nodes

__all__ = ["nearest", "resample"]

_BITS = 22  # of a coefficient: Pillow's PRECISION_BITS
_HALF_BITS = 11
_SUPPORT = {"bilinear": 1.0, "bicubic": 2.0, "lanczos": 3.0}


def resample(nodes: Nodes, rows: Axis, columns: Axis, interpolation: str) -> str:
    """Return the image resized: uint8 (rows.length, columns.length, 3)."""
    from onnx import TensorProto

    top, bottom, down = _coefficients(nodes, rows, interpolation)
    left, right, across = _coefficients(nodes, columns, interpolation)
    starts, ends = nodes("Concat", top, left, axis=0), nodes("Concat", bottom, right, axis=0)
    image = nodes("Slice", INPUT, starts, ends, nodes.constant([0, 1], np.int64))
    image = nodes("Cast", image, to=TensorProto.FLOAT)
    if not _pillow_may_go_down_first():
        return str(nodes("Cast", _across_then_down(nodes, image, across, down, rows, columns), to=TensorProto.UINT8))
    # A condition would need nested graphs. So both orders are computed, the unused one on a single pixel.
    goes_down_first = _goes_down_first(nodes, rows, columns)
    size = nodes("Slice", nodes("Shape", image), nodes.constant([0], np.int64), nodes.constant([2], np.int64))
    one = nodes.constant([1, 1], np.int64)
    first = _cut(nodes, image, down, across, nodes("Where", goes_down_first, one, size))
    other = _cut(nodes, image, down, across, nodes("Where", goes_down_first, size, one))
    result = nodes(
        "Where",
        goes_down_first,
        _down_then_across(nodes, other[0], other[2], other[1], rows, columns),
        _across_then_down(nodes, first[0], first[2], first[1], rows, columns),
    )
    return str(nodes("Cast", result, to=TensorProto.UINT8))


def _across_then_down(nodes: Nodes, image: str, across: str, down: str, rows: Axis, columns: Axis) -> str:
    image = nodes("Transpose", image, perm=[1, 0, 2])  # (width, height, 3)
    image = nodes("Transpose", _pass(nodes, image, across, columns.length), perm=[1, 0, 2])
    return _pass(nodes, image, down, rows.length)


def _down_then_across(nodes: Nodes, image: str, across: str, down: str, rows: Axis, columns: Axis) -> str:
    image = nodes("Transpose", _pass(nodes, image, down, rows.length), perm=[1, 0, 2])
    return str(nodes("Transpose", _pass(nodes, image, across, columns.length), perm=[1, 0, 2]))


def _cut(nodes: Nodes, image: str, down: str, across: str, size: str) -> tuple[str, str, str]:
    """Return the upper left `size` of the image, and the coefficients of its rows and columns."""
    start, one, two = (nodes.constant([value], np.int64) for value in (0, 1, 2))
    height, width = nodes("Slice", size, start, one), nodes("Slice", size, one, two)
    image = nodes("Slice", image, nodes.constant([0, 0], np.int64), size)
    return image, nodes("Slice", down, start, height, one), nodes("Slice", across, start, width, one)


def _goes_down_first(nodes: Nodes, rows: Axis, columns: Axis) -> str:
    """Return whether Pillow 13 resizes vertically first: where it removes twice as many rows as columns."""
    fewer_rows, fewer_columns = (nodes("Sub", axis.size, axis.resized) for axis in (rows, columns))
    many = nodes("Greater", fewer_rows, nodes("Mul", fewer_columns, nodes.number(2)))
    return str(nodes("And", many, nodes("Greater", fewer_rows, nodes.number(0))))


@functools.cache
def _pillow_may_go_down_first() -> bool:
    """Whether the installed Pillow may resize vertically first: pull request 9549, in Pillow 13."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 20, 3), dtype=np.uint8))
    bilinear = Image.Resampling.BILINEAR
    down_first = noise.resize((20, 30), bilinear).resize((40, 30), bilinear)
    return noise.resize((40, 30), bilinear).tobytes() == down_first.tobytes()


def _pass(nodes: Nodes, image: str, coefficients: str, length: int) -> str:
    """Resize the first axis of (n, m, 3) with coefficients (2 length, n), high bits above low bits; integers."""
    rest = nodes("Slice", nodes("Shape", image), nodes.constant([1], np.int64), nodes.constant([3], np.int64))
    flat = nodes("Reshape", image, nodes.constant([0, -1], np.int64))
    sums = nodes("MatMul", coefficients, flat)
    high, low = nodes("Split", sums, nodes.constant([length, length], np.int64), outputs=2, axis=0)
    down = nodes.constant(2.0**-_HALF_BITS, np.float32)
    low = nodes("Floor", nodes("Mul", low, down))
    rounding = nodes.constant(2.0 ** (_HALF_BITS - 1), np.float32)
    joined = nodes("Floor", nodes("Mul", nodes("Add", nodes("Add", high, low), rounding), down))
    joined = nodes("Clip", joined, nodes.constant(0, np.float32), nodes.constant(255, np.float32))
    return str(nodes("Reshape", joined, nodes("Concat", nodes.constant([length], np.int64), rest, axis=0)))


def _coefficients(nodes: Nodes, axis: Axis, interpolation: str) -> tuple[str, str, str]:
    """Return the first pixel and the last + 1 with a coefficient, int64 (1,), and the coefficients between them.

    The coefficients are float32 (2 length, pixels): the high bits, in units of 2^-11, above the low bits, in 2^-22.
    """
    from onnx import TensorProto

    scale = nodes("Div", axis.size, axis.resized)
    stretch = nodes("Max", scale, nodes.number(1))
    support = nodes("Mul", stretch, nodes.number(_SUPPORT[interpolation]))
    centre = nodes("Mul", nodes("Add", inside(nodes, axis), nodes.number(0.5)), scale)
    low_edge = nodes("Max", nodes("Add", nodes("Sub", centre, support), nodes.number(0.5)), nodes.number(0))
    high_edge = nodes("Min", nodes("Add", nodes("Add", centre, support), nodes.number(0.5)), axis.size)
    low_edge, high_edge = nodes("Floor", low_edge), nodes("Floor", high_edge)
    first = nodes("Slice", low_edge, nodes.constant([0], np.int64), nodes.constant([1], np.int64))
    end = nodes("Slice", high_edge, nodes.constant([-1], np.int64), nodes.constant([axis.length], np.int64))
    whole = [nodes("Cast", edge, to=TensorProto.INT64) for edge in (first, end)]
    pixels = nodes("Range", nodes("Squeeze", first), nodes("Squeeze", end), nodes.number(1))
    column = nodes.constant([1], np.int64)
    centre, low_edge, high_edge = (nodes("Unsqueeze", name, column) for name in (centre, low_edge, high_edge))
    distance = nodes("Add", nodes("Sub", pixels, centre), nodes.number(0.5))
    weights = _filter(nodes, nodes("Mul", distance, nodes("Div", nodes.number(1), stretch)), interpolation)
    counts = nodes("And", nodes("GreaterOrEqual", pixels, low_edge), nodes("Less", pixels, high_edge))
    weights = nodes("Where", counts, weights, nodes.number(0))
    weights = nodes("Div", weights, nodes("ReduceSum", weights, column, keepdims=1))
    scaled = nodes("Add", nodes("Abs", nodes("Mul", weights, nodes.number(2.0**_BITS))), nodes.number(0.5))
    rounded = nodes("Mul", nodes("Floor", scaled), nodes("Sign", weights))
    high = nodes("Floor", nodes("Mul", rounded, nodes.number(2.0**-_HALF_BITS)))
    low = nodes("Sub", rounded, nodes("Mul", high, nodes.number(2.0**_HALF_BITS)))
    both = nodes("Cast", nodes("Concat", high, low, axis=0), to=TensorProto.FLOAT)
    return whole[0], whole[1], both


def _filter(nodes: Nodes, x: str, interpolation: str) -> str:
    """Return Pillow's filter function of x, float64 of any shape."""
    if interpolation == "lanczos":
        product = nodes("Mul", _sinc(nodes, x), _sinc(nodes, nodes("Div", x, nodes.number(3))))
        within = nodes("And", nodes("GreaterOrEqual", x, nodes.number(-3)), nodes("Less", x, nodes.number(3)))
        return str(nodes("Where", within, product, nodes.number(0)))
    x = nodes("Abs", x)
    if interpolation == "bilinear":
        return str(nodes("Max", nodes("Sub", nodes.number(1), x), nodes.number(0)))
    # bicubic, a = -0.5: ((a + 2) x - (a + 3)) x^2 + 1 below 1; (((x - 5) x + 8) x - 4) a below 2
    square = nodes("Mul", x, x)
    near = nodes("Sub", nodes("Mul", x, nodes.number(1.5)), nodes.number(2.5))
    near = nodes("Add", nodes("Mul", near, square), nodes.number(1))
    far = nodes("Add", nodes("Mul", nodes("Sub", x, nodes.number(5)), x), nodes.number(8))
    far = nodes("Mul", nodes("Sub", nodes("Mul", far, x), nodes.number(4)), nodes.number(-0.5))
    far = nodes("Where", nodes("Less", x, nodes.number(2)), far, nodes.number(0))
    return str(nodes("Where", nodes("Less", x, nodes.number(1)), near, far))


def _sinc(nodes: Nodes, x: str) -> str:
    is_zero = nodes("Equal", x, nodes.number(0))
    angle = nodes("Where", is_zero, nodes.number(1), nodes("Mul", x, nodes.number(math.pi)))
    return str(nodes("Where", is_zero, nodes.number(1), nodes("Div", nodes("Sin", angle), angle)))


def nearest(nodes: Nodes, axis: Axis) -> str:
    """Return the source pixel of each output pixel, int64 (length,).

    Pillow accumulates the step from pixel to pixel (libImaging/Geometry.c, `ImagingScaleAffine`), and so does this: a
    product rounds differently, and near an integer that selects another pixel.
    """
    from onnx import TensorProto

    step = nodes("Unsqueeze", nodes("Div", axis.size, axis.resized), nodes.constant([0], np.int64))
    half = nodes("Mul", step, nodes.number(0.5))
    count = nodes("Cast", nodes("Sub", axis.resized, nodes.number(1)), to=TensorProto.INT64)
    steps = nodes("Expand", step, nodes("Unsqueeze", count, nodes.constant([0], np.int64)))
    centres = nodes("CumSum", nodes("Concat", half, steps, axis=0), nodes.constant(0, np.int64))
    taken = nodes("Gather", centres, nodes("Cast", inside(nodes, axis), to=TensorProto.INT64))
    return str(nodes("Cast", nodes("Floor", taken), to=TensorProto.INT64))
