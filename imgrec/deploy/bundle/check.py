"""Checks of an ONNX graph before any runtime reads it.

A bundle may be hostile. ONNX lets a file read weights from other files, declare tensors that it does not contain,
nest graphs that loop, and call operators of other libraries. imgrec exports none of these, so a file that has them is
refused. Field numbers are those of onnx.proto3.
"""

import math
from collections.abc import Iterator

import numpy as np

from imgrec.deploy.bundle.seal import METADATA_PROPS
from imgrec.deploy.bundle.wire import VARINT, Field, Message, count_varints, read_varints
from imgrec.errors import BundleError

__all__ = ["MAX_NODES", "check_model", "read_metadata"]

MAX_NODES = 50_000  # swin_v2_b in 8 bits has 8,000
MAX_TEXT = 1 << 12
_MAX_ELEMENTS = 1 << 28  # of the output that a constant may ask an operator for
_MAX_OPSET, _MAX_IR = 26, 13
_DOMAINS = ("", "ai.onnx")
_SMALL = 16  # constants of at most so many numbers are checked as shapes

# ModelProto: ir_version, producer, domain, version, doc_string, graph, opset_import, metadata_props
_MODEL, _IR, _GRAPH, _OPSET = {1, 2, 3, 4, 5, 6, 7, 8, METADATA_PROPS}, 1, 7, 8
_TRAINING, _FUNCTIONS = 20, 25
# GraphProto: node, name, initializer, doc_string, input, output, value_info, metadata_props
_GRAPH_FIELDS, _NODE, _INITIALIZER, _SPARSE_INITIALIZER = {1, 2, 5, 10, 11, 12, 13, 16}, 1, 5, 15
# TensorProto: data_type -> bytes an element; no text, no 4 bits, no 8-bit floats
_SIZES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}
_INT64 = 7
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
# Operators whose output size is an input, and the index of that input.
_MAKERS = {"ConstantOfShape": 0, "Expand": 1, "Tile": 1, "Pad": 1, "Resize": 3, "Upsample": 1, "Range": 1}

Shapes = dict[str, list[int]]  # small integer constants by name


def read_metadata(model: Message) -> dict[str, str]:
    """Return the metadata of an ONNX file. Raises: BundleError: Damaged, or a key twice."""
    metadata: dict[str, str] = {}
    for field in model.fields():
        if field.number == METADATA_PROPS:
            key, value = _entry(field.content)
            if key in metadata:
                raise BundleError(f"duplicate metadata {key[:80]!r}")
            metadata[key] = value
    return metadata


def check_model(model: Message) -> None:
    """Check all of an ONNX file except its metadata. Raises: BundleError: It has something that is not allowed."""
    graphs = []
    for field in model.fields():
        if field.number in (_FUNCTIONS, _TRAINING):
            raise BundleError("it defines functions or training steps, which imgrec never exports")
        if field.number not in _MODEL:
            raise BundleError(f"not an ONNX model that imgrec wrote: it has a field {field.number}")
        if field.number == _IR and not 3 <= field.value <= _MAX_IR:
            raise BundleError(f"not an ONNX model, or of a newer format: ir_version {field.value}")
        if field.number == _OPSET:
            _check_opset(field.content)
        elif field.number == _GRAPH:
            graphs.append(field.content)
    if len(graphs) != 1:
        raise BundleError(f"not an ONNX model: it has {len(graphs)} graphs")
    _check_graph(graphs[0])


def _entry(content: Message) -> tuple[str, str]:
    key = value = ""
    for field in content.fields():
        if field.number == 1:
            key = field.content.text(limit=MAX_TEXT)
        elif field.number == 2:
            value = field.content.text(limit=1 << 24)
    return key, value


def _check_opset(content: Message) -> None:
    domain, version = "", 0
    for field in content.fields():
        if field.number == 1:
            domain = field.content.text(limit=MAX_TEXT)
        elif field.number == 2:
            version = field.signed()
    if domain not in _DOMAINS:
        raise BundleError(f"it uses operators of {domain[:80]!r}; only those of ONNX itself are allowed")
    if not 13 <= version <= _MAX_OPSET:
        raise BundleError(f"operators of version {version}; this imgrec reads 13 to {_MAX_OPSET}")


def _check_graph(graph: Message) -> None:
    shapes: Shapes = {}
    nodes = []
    for field in graph.fields():
        if field.number == _SPARSE_INITIALIZER:
            raise BundleError("it has sparse tensors, which imgrec never exports")
        if field.number not in _GRAPH_FIELDS:
            raise BundleError(f"not a graph that imgrec wrote: it has a field {field.number}")
        if field.number == _INITIALIZER:
            name, numbers = _check_tensor(field.content)
            if numbers is not None:
                shapes[name] = numbers
        elif field.number == _NODE:
            nodes.append(field.content)
            if len(nodes) > MAX_NODES:
                raise BundleError(f"more than {MAX_NODES:,} operators")
    for node in nodes:
        _check_node(node, shapes)


def _check_node(node: Message, shapes: Shapes) -> None:
    inputs, outputs, operator, domain = [], [], "", ""
    constants = []
    for field in node.fields():
        if field.number == 1:
            inputs.append(field.content.text(limit=MAX_TEXT))
        elif field.number == 2:
            outputs.append(field.content.text(limit=MAX_TEXT))
        elif field.number == 4:
            operator = field.content.text(limit=MAX_TEXT)
        elif field.number == 5:
            constants += list(_check_attribute(field.content))
        elif field.number == 7:
            domain = field.content.text(limit=MAX_TEXT)
        elif field.number not in (3, 6, 9):
            raise BundleError(f"not an operator that imgrec wrote: it has a field {field.number}")
    if domain not in _DOMAINS:
        raise BundleError(f"it uses the operator {domain[:80]}.{operator[:80]}; only those of ONNX itself are allowed")
    if operator == "Constant" and constants and outputs:
        shapes[outputs[0]] = constants[0]
    place = _MAKERS.get(operator)
    if place is None or place >= len(inputs):
        return
    if (count := math.prod(max(abs(number), 1) for number in shapes.get(inputs[place], ()))) > _MAX_ELEMENTS:
        raise BundleError(f"{operator} would make {count:,} numbers; at most {_MAX_ELEMENTS:,} are allowed")


def _check_attribute(attribute: Message) -> Iterator[list[int]]:
    """Yield the small integer constants in an attribute."""
    num_tensors = 0
    ints: list[int] = []
    for field in attribute.fields():
        if field.number in (6, 11):
            raise BundleError("it has nested graphs (If, Loop, Scan), which imgrec never exports")
        if field.number in (22, 23, 15, 14, 21, 10, 9):
            raise BundleError("an operator has sparse tensors, types, texts or references as attributes")
        if field.number == 5:
            num_tensors += 1
            _, numbers = _check_tensor(field.content)
            if num_tensors > 1:
                raise BundleError("an attribute has two tensors instead of one")
            if numbers is not None:
                yield numbers
        elif field.number == 8 and field.content.size <= 10 * _SMALL:
            ints += [field.signed()] if field.kind == VARINT else read_varints(field.content)
    if 0 < len(ints) <= _SMALL:
        yield ints


def _check_tensor(tensor: Message) -> tuple[str, list[int] | None]:
    """Check that all of a tensor is in the file; return its name, and its values if they are few integers."""
    name, kind, dims, held, raw = "", 0, [], 0, None
    whole: list[int] = []
    for field in tensor.fields():
        if field.number in (_EXTERNAL_DATA, _DATA_LOCATION) and (field.value or field.content.size):
            raise BundleError("it reads weights from another file (external data); a bundle is one file")
        if field.number == 1:
            dims += [field.signed()] if field.kind == VARINT else read_varints(field.content)
        elif field.number == 2:
            kind = field.value
        elif field.number in (4, 5, 7, 10, 11):
            held += _count(field)
            if field.number == _INT64 and field.content.size <= 10 * _SMALL:
                whole += read_varints(field.content) if field.kind != VARINT else [field.signed()]
        elif field.number == 8:
            name = field.content.text(limit=MAX_TEXT)
        elif field.number == 9:
            if raw is not None:
                raise BundleError(f"the tensor {name[:80]!r} has its bytes twice")
            raw = field.content
        elif field.number not in (12, 13, 14, 16):
            raise BundleError(f"not a tensor that imgrec wrote: {name[:80]!r} has a field {field.number}")
    if kind not in _SIZES or min(dims, default=0) < 0:
        raise BundleError(f"the tensor {name[:80]!r} has data type {kind} and shape {dims[:8]}")
    claimed = math.prod(dims)
    if raw is not None:
        if raw.size % _SIZES[kind]:
            raise BundleError(f"the tensor {name[:80]!r} has half an element")
        held += raw.size // _SIZES[kind]
        if kind == _INT64 and held <= _SMALL:
            whole = np.frombuffer(raw.raw(), dtype="<i8").tolist()
    if claimed != held:
        raise BundleError(f"the tensor {name[:80]!r} declares {claimed:,} numbers, but the file has {held:,}")
    return name, whole if kind == _INT64 and claimed <= _SMALL else None


def _count(field: Field) -> int:
    """Return how many numbers a data field of a tensor holds: packed, or a single one."""
    if field.kind == VARINT:
        return 1
    if field.number == 4:
        return field.content.size // 4
    return field.content.size // 8 if field.number == 10 else count_varints(field.content)
