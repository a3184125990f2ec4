"""Export a network as a bundle, written only if it gives the network's outputs on real images."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import nn

from imgrec.core.files.atomic_write import durable_write
from imgrec.deploy.bundle import Bundle, BundleInfo, bundle_from_bytes
from imgrec.deploy.bundle.document import DOCUMENT_KEY, Input, Precision
from imgrec.deploy.bundle.seal import metadata_entry, seal
from imgrec.deploy.export.gate import Gate, judge, report_path, run_reference, stop_if_failed, write_report
from imgrec.deploy.export.graph import make_graph
from imgrec.deploy.export.half import to_float16
from imgrec.deploy.export.image_stage import add_image_stage
from imgrec.deploy.export.layers import moved_layers
from imgrec.deploy.export.outputs import ImageSet, Progress, logits_of_bundle, prepared
from imgrec.deploy.export.parity import compare
from imgrec.deploy.export.quantize import to_int8
from imgrec.errors import ParityError

__all__ = ["Graphs", "Settings", "export_bundle", "make_bundle", "to_bytes"]

_SINGLES = 8  # images that are also run one by one

Say = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """How a network is exported.

    Attributes:
        input: "pixels" or "image", see `BundleInfo`.
        precision: Of weights and activations. float32 must give identical predictions.
        max_drop: Percentage points of accuracy that the other precisions may lose.
        calibration: Images for int8.
    """

    input: Input = "pixels"
    precision: Precision = "float32"
    max_drop: float = 1.0
    calibration: ImageSet | None = None


class Graphs(NamedTuple):
    """An onnx.ModelProto each.

    Attributes:
        whole: Input "pixels", float32.
        small: Input "pixels", in the requested precision.
        shipped: With the requested input and precision.
    """

    whole: Any
    small: Any
    shipped: Any


def export_bundle(
    network: nn.Module,
    info: BundleInfo,
    path: Path,
    *,
    images: ImageSet,
    settings: Settings,
    say: Say,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write `network` as a bundle if it passes the check on `images`.

    Args:
        network: Images (N, 3, H, W), 0-255, to logits; in evaluation mode, on the CPU.
        info: Description of the bundle, without `input` and `precision`.
        path: To write; an existing file is replaced only if the check passes.
        images: For the check.
        settings: Input and precision.
        say: Called with the name of each step.
        progress: Called with the images done and their number.

    Returns:
        The report, which is also written as `report_path(path)`, even where the check fails.

    Raises:
        ParityError: The outputs differ, or the network is not trained.
        BundleError: The network cannot be exported.
    """
    info = replace(info, input=settings.input, precision=settings.precision)
    reference = run_reference(network, info, images, say=say, progress=progress)
    say("Building the graph")
    graphs = make_bundle(network, info, settings, say=say)
    bundle = bundle_from_bytes(to_bytes(graphs.shipped, info), name=str(path))
    say("Running the export on the same images")
    outputs = logits_of_bundle(bundle, images, progress=progress)
    gate = judge(images, reference, outputs, info=info, max_drop=settings.max_drop)
    is_suspect = not gate.passed and not gate.is_exact
    few = prepared(info.preprocess, _first(images)) if is_suspect else []
    stop_if_failed(gate, path, layers=moved_layers(graphs.whole, graphs.small, few) if few else ())
    if gate.is_exact:
        _check_singles(bundle, images, outputs, gate=gate, path=path)
    data = to_bytes(graphs.shipped, replace(info, parity=gate.to_dict(names=False)))
    sha256 = bundle_from_bytes(data, name=str(path)).sha256
    with durable_write(path, size=len(data)) as file:
        file.write(data)
    report = {**gate.to_dict(), "sha256": sha256, "size_bytes": len(data)}
    write_report(path, report)
    return report


def make_bundle(network: nn.Module, info: BundleInfo, settings: Settings, *, say: Say) -> Graphs:
    """Return the graph to ship and the graphs it is made from; equal ones are the same object."""
    height, width = info.preprocess.height_width or (None, None)
    whole = small = make_graph(network, height=height, width=width)
    if settings.precision == "float16":
        small = to_float16(whole)
    elif settings.precision == "int8":
        assert settings.calibration is not None
        say(f"Calibrating with {len(settings.calibration):,} images")
        small = to_int8(whole, prepared(info.preprocess, settings.calibration))
    shipped = small
    if settings.input == "image":
        shipped = copy.deepcopy(small)
        add_image_stage(shipped, info.preprocess)
    return Graphs(whole, small, shipped)


def to_bytes(graph: Any, info: BundleInfo) -> bytes:
    """Return the bytes of a bundle from an onnx.ModelProto without metadata."""
    body: bytes = graph.SerializeToString(deterministic=True)
    return seal(body + metadata_entry(DOCUMENT_KEY, info.to_json()))


def _check_singles(bundle: Bundle, images: ImageSet, outputs: NDArray[np.float32], *, gate: Gate, path: Path) -> None:
    """Check that an image alone has the logits that it has in a batch. Raises: ParityError."""
    few = _first(images)
    alone = logits_of_bundle(bundle, few, batch_size=1)
    parity = compare(few.names, outputs[: len(alone)], alone, task=bundle.task)
    if not parity.holds:
        write_report(path, {**gate.to_dict(), "passed": False, "alone": parity.to_dict()})
        raise ParityError(
            f"The outputs for an image alone differ from those in a batch (probabilities by up to "
            f"{parity.max_probability_difference:.2g}): the model mixes the images of a batch. Nothing was written "
            f"as {path.name}; see {report_path(path)}."
        )


def _first(images: ImageSet) -> ImageSet:
    return ImageSet(images.names[:_SINGLES], images.images)
