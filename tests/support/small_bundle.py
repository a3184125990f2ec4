"""A bundle of a few operators, made without torch in a few milliseconds: it names the colour that is strongest."""

import io
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from imgrec.data.images.preprocess import Preprocess
from imgrec.deploy.bundle import BundleInfo
from imgrec.deploy.bundle.document import DOCUMENT_KEY
from imgrec.deploy.bundle.seal import metadata_entry, seal
from imgrec.evaluation.decisions import Decisions
from imgrec.evaluation.decisions.reject import RejectRule

COLOURS = ("red", "green", "blue")
SIZE_PX = 16
RULE = "risk_5"


def colour_bundle(
    path: Path,
    *,
    names: tuple[str, ...] = COLOURS,
    sharpness: float = 0.1,
    work: int = 0,
    decisions: Decisions | None = None,
) -> Path:
    """Write a bundle whose logits are the mean of each colour channel times `sharpness`.

    An answer whose probability is not above 0.5 is unknown. work: side of square matrices to multiply for each batch,
    for a network that takes its time. decisions: instead of those.
    """
    weights = np.eye(3, dtype=np.float32) * sharpness
    constants = {"axes": np.array([1, 2], dtype=np.int64), "weights": weights}
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats", "axes"], ["means"], keepdims=0),
    ]
    last = "means"
    if work:
        constants |= {"wide": np.zeros((3, work), np.float32), "square": np.zeros((work, work), np.float32)}
        constants |= {"narrow": np.zeros((work, 3), np.float32)}
        nodes += [helper.make_node("MatMul", ["means", "wide"], ["x0"])]
        nodes += [helper.make_node("MatMul", [f"x{i}", "square"], [f"x{i + 1}"]) for i in range(40)]
        nodes += [helper.make_node("MatMul", ["x40", "narrow"], ["x"]), helper.make_node("Add", ["x", "means"], ["y"])]
        last = "y"
    nodes.append(helper.make_node("MatMul", [last, "weights"], ["logits"]))
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", SIZE_PX, SIZE_PX, 3])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 3])
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "colours", [images], [logits], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    rule = RejectRule(0.5, risk=0.05, delta=0.1, num_accepted=9, num_errors=0, num_samples=9, upper_bound=0.04)
    decisions = decisions or Decisions(task="single", class_names=names, reject={RULE: rule})
    info = BundleInfo(
        class_names=list(names),
        task=decisions.task,
        preprocess=Preprocess(size=SIZE_PX, mode="squash"),
        decisions=decisions,
    )
    path.write_bytes(seal(model.SerializeToString() + metadata_entry(DOCUMENT_KEY, info.to_json())))
    return path


def sample_image(red: int, green: int, blue: int, *, size: tuple[int, int] = (40, 30), kind: str = "PNG") -> bytes:
    """Return an image file of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", size, (red, green, blue)).save(buffer, kind)
    return buffer.getvalue()
