"""Hostile graphs: each is sealed as a bundle with a right digest, and refused before onnxruntime hears of it."""

import math
from typing import Any
from unittest import mock

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from exported import bundle_bytes, graph
from imgrec.deploy.bundle import bundle_from_bytes
from imgrec.deploy.bundle.bundle import read_bundle
from imgrec.deploy.bundle.check import MAX_NODES, check_model
from imgrec.deploy.bundle.wire import Message
from imgrec.errors import BundleError


def refused(model: Any, message: str) -> None:
    with mock.patch("imgrec.deploy.bundle.bundle._open_session") as session, pytest.raises(BundleError, match=message):
        bundle_from_bytes(bundle_bytes(model), name="model.onnx")
    session.assert_not_called()


def first_weight(model: Any) -> Any:
    return max(model.graph.initializer, key=lambda tensor: math.prod(tensor.dims))


@pytest.mark.parametrize("place", ["/etc/passwd", "../../secret", "weights.bin", ""])
def test_weights_in_other_files_are_refused(place):
    model = graph()
    tensor = first_weight(model)
    tensor.ClearField("raw_data")
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", place
    tensor.data_location = TensorProto.EXTERNAL
    refused(model, "another file")


def test_a_data_location_alone_is_refused():
    model = graph()
    first_weight(model).data_location = TensorProto.EXTERNAL
    refused(model, "another file")


@pytest.mark.parametrize("dims", [[10**12], [10**6, 10**6, 10**6], [2**63 - 1, 2**63 - 1]])
def test_a_tensor_that_declares_more_than_it_has_is_refused(dims):
    model = graph()
    first_weight(model).dims[:] = dims
    refused(model, r"declares [\d,]+ numbers, but the file has \d+")


@pytest.mark.parametrize("dims", [[-1], [0], [1]])
def test_a_tensor_of_another_size_than_its_bytes_is_refused(dims):
    model = graph()
    first_weight(model).dims[:] = dims
    refused(model, "declares|shape")


def test_half_an_element_is_refused():
    model = graph()
    first_weight(model).raw_data += b"\0"
    refused(model, "half an element|declares")


@pytest.mark.parametrize("kind", [TensorProto.STRING, TensorProto.COMPLEX64, TensorProto.FLOAT8E4M3FN, 99])
def test_a_tensor_of_another_type_is_refused(kind):
    model = graph()
    first_weight(model).data_type = kind
    refused(model, "data type")


@pytest.mark.parametrize("domain", ["com.microsoft", "com.example.evil", "ai.onnx.ml"])
def test_operators_of_others_are_refused(domain):
    model = graph()
    model.opset_import.add(domain=domain, version=1)
    refused(model, "only those of ONNX itself")
    model = graph()
    model.graph.node[0].domain = domain
    refused(model, "only those of ONNX itself")


@pytest.mark.parametrize("operator", ["If", "Loop", "Scan"])
def test_nested_graphs_are_refused(operator):
    inner = helper.make_graph([], "inner", [], [])
    model = graph()
    model.graph.node.append(helper.make_node(operator, ["images"], ["x"], body=inner))
    refused(model, "nested graphs")


def test_functions_and_training_steps_are_refused():
    model = graph()
    model.functions.append(helper.make_function("a", "f", [], [], [], []))
    refused(model, "functions")
    model = graph()
    model.training_info.add()
    refused(model, "training")


def test_sparse_tensors_are_refused():
    model = graph()
    model.graph.sparse_initializer.add()
    refused(model, "sparse")


def test_too_many_operators_are_refused():
    model = graph()
    model.graph.node.extend([helper.make_node("Identity", ["images"], ["x"])] * (MAX_NODES + 1))
    refused(model, f"more than {MAX_NODES:,}")


@pytest.mark.parametrize("way", ["initializer", "constant", "ints"])
@pytest.mark.parametrize(("operator", "place"), [("ConstantOfShape", 0), ("Expand", 1), ("Tile", 1)])
def test_an_operator_with_a_huge_output_is_refused(operator, place, way):
    model = graph()
    shape = np.array([10**5, 10**5], dtype=np.int64)
    if way == "initializer":
        model.graph.initializer.append(onnx.numpy_helper.from_array(shape, "shape"))
    elif way == "constant":
        value = onnx.numpy_helper.from_array(shape)
        model.graph.node.append(helper.make_node("Constant", [], ["shape"], value=value))
    else:
        model.graph.node.append(helper.make_node("Constant", [], ["shape"], value_ints=shape.tolist()))
    model.graph.node.append(helper.make_node(operator, [*["images"] * place, "shape"], ["x"]))
    refused(model, r"would make 10,000,000,000 numbers")


@pytest.mark.parametrize("version", [1, 12, 99])
def test_operators_of_another_age_are_refused(version):
    model = graph()
    model.opset_import[0].version = version
    refused(model, "version")


def test_a_newer_onnx_is_refused():
    model = graph()
    model.ir_version = 99
    refused(model, "newer format")


def test_texts_and_references_as_attributes_are_refused():
    model = graph()
    model.graph.node.append(helper.make_node("X", [], ["x"], names=["a", "b"]))
    refused(model, "attributes")


def test_a_field_that_is_not_known_is_refused():
    for path in ("model", "graph", "node", "tensor"):
        model = graph()
        part = {"model": model, "graph": model.graph, "node": model.graph.node[0], "tensor": first_weight(model)}[path]
        part.MergeFromString(b"\xf2\x3f\x01x")  # field 1022, bytes
        refused(model, "field 1022")


@pytest.mark.parametrize("content", [b"\x3a\x04\x08", b"\x3a\xff\xff\xff\xff\x0f", b"\x0f", b"\x80" * 20, b"\x00\x00"])
def test_bytes_that_are_no_protocol_buffer_are_refused(content):
    data = b"\x08\x0a" + content
    with pytest.raises(BundleError):
        check_model(Message(memoryview(data), 0, len(data)))


def test_changed_bytes_never_lead_to_anything_but_a_refusal():
    """The digest is passed by, as by somebody who can write a new one."""
    random = np.random.default_rng(0)
    data = bundle_bytes()
    for _ in range(400):
        changed = bytearray(data)
        for place in random.integers(0, min(len(data), 6000), 3):
            changed[place] = random.integers(0, 256)
        with mock.patch("imgrec.deploy.bundle.bundle.verify_seal", return_value="0"):
            try:
                read_bundle(bytes(changed), name="fuzzed")
            except BundleError:
                continue


def test_what_export_writes_passes():
    info, _ = read_bundle(bundle_bytes(), name="good")
    assert info.input == "pixels"
