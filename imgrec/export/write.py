"""From a network to a bundle that answers as the network does, or to nothing at all."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from imgrec.bundle import Bundle, BundleInfo, bundle_from_bytes
from imgrec.bundle.document import DOCUMENT_KEY, Input, Precision
from imgrec.bundle.seal import metadata_entry, seal
from imgrec.durable import durable_write
from imgrec.errors import ParityError
from imgrec.export.answers import Pictures, Progress, answers_of_bundle, answers_of_network, prepared
from imgrec.export.gate import judge, stop_if_failed, write_report
from imgrec.export.graph import make_graph
from imgrec.export.half import to_float16
from imgrec.export.image_stage import add_image_stage
from imgrec.export.layers import moved_layers
from imgrec.export.parity import compare, refuse_untrained
from imgrec.export.quantize import to_int8

__all__ = ["Settings", "export_bundle", "make_bundle", "to_bytes"]

_SINGLES = 8  # pictures that are also asked about one by one

Say = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """What is made of a network.

    input: "pixels" or "image", see `BundleInfo`. precision: of weights and activations; float32 has to give equal
    answers, the others may lose `max_drop` percentage points of accuracy. calibration: pictures for int8.
    """

    input: Input = "pixels"
    precision: Precision = "float32"
    max_drop: float = 1.0
    calibration: Pictures | None = None


def export_bundle(
    network: nn.Module,
    info: BundleInfo,
    path: Path,
    *,
    pictures: Pictures,
    settings: Settings,
    say: Say,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write `network` as a bundle to `path` once it answers about `pictures` as the network does; return the report.

    network: images (N, 3, H, W), 0-255, to logits; in evaluation mode, on the CPU.
    The report is written too, as `report_path`; where the gate fails it is all that is left.
    Raises: ParityError: the answers differ, or mean nothing. BundleError: the network cannot be exported.
    """
    info = replace(info, input=settings.input, precision=settings.precision)
    say(f"Asking the checkpoint about {len(pictures):,} pictures")
    reference = answers_of_network(network, info.preprocess, pictures, progress=progress)
    refuse_untrained(reference, task=info.task)
    say("Making the graph")
    whole, graph = make_bundle(network, info, settings, say=say)
    bundle = bundle_from_bytes(to_bytes(graph, info), name=str(path))
    say("Asking the export about the same pictures")
    answers = answers_of_bundle(bundle, pictures, progress=progress)
    gate = judge(pictures, reference, answers, info=info, max_drop=settings.max_drop)
    is_suspect = not gate.passed and not gate.is_exact and settings.input == "pixels"
    few = prepared(info.preprocess, _first(pictures)) if is_suspect else []
    stop_if_failed(gate, path, layers=moved_layers(whole, graph, few) if few else ())
    if gate.is_exact:
        _check_singles(bundle, pictures, answers)
    data = to_bytes(graph, replace(info, parity=gate.to_dict(names=False)))
    sha256 = bundle_from_bytes(data, name=str(path)).sha256
    with durable_write(path, size=len(data)) as file:
        file.write(data)
    report = {**gate.to_dict(), "sha256": sha256, "size_bytes": len(data)}
    write_report(path, report)
    return report


def make_bundle(network: nn.Module, info: BundleInfo, settings: Settings, *, say: Say) -> tuple[Any, Any]:
    """Return the graph of pixels in float32, and the graph to be shipped: two onnx.ModelProto, or one twice."""
    height, width = info.preprocess.height_width or (None, None)
    whole = graph = make_graph(network, height=height, width=width)
    if settings.precision == "float16":
        graph = to_float16(whole)
    elif settings.precision == "int8":
        assert settings.calibration is not None
        say(f"Calibrating with {len(settings.calibration):,} pictures")
        graph = to_int8(whole, prepared(info.preprocess, settings.calibration))
    if settings.input == "image":
        add_image_stage(graph, info.preprocess)
    return whole, graph


def to_bytes(graph: Any, info: BundleInfo) -> bytes:
    """Return a bundle of an onnx.ModelProto without metadata."""
    body: bytes = graph.SerializeToString(deterministic=True)
    return seal(body + metadata_entry(DOCUMENT_KEY, info.to_json()))


def _check_singles(bundle: Bundle, pictures: Pictures, answers: NDArray[np.float32]) -> None:
    """Check that a picture by itself gets the answer that it has in a batch. Raises: ParityError."""
    few = _first(pictures)
    alone = answers_of_bundle(bundle, few, batch_size=1)
    parity = compare(few.names, answers[: len(alone)], alone, task=bundle.task)
    if not parity.holds:
        raise ParityError(
            f"The export answers otherwise about a picture alone than in a batch (probabilities differ by up to "
            f"{parity.max_probability_difference:.2g}). Nothing was written. The network mixes the pictures of a batch."
        )


def _first(pictures: Pictures) -> Pictures:
    return Pictures(pictures.names[:_SINGLES], pictures.images)
