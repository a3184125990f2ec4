"""From a network to a bundle that answers as the network does, or to nothing at all."""

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
from imgrec.deploy.export.gate import Gate, judge, report_path, stop_if_failed, write_report
from imgrec.deploy.export.graph import make_graph
from imgrec.deploy.export.half import to_float16
from imgrec.deploy.export.image_stage import add_image_stage
from imgrec.deploy.export.layers import moved_layers
from imgrec.deploy.export.outputs import ImageSet, Progress, logits_of_bundle, logits_of_network, prepared
from imgrec.deploy.export.parity import compare, refuse_untrained
from imgrec.deploy.export.quantize import to_int8
from imgrec.errors import ParityError

__all__ = ["Graphs", "Settings", "export_bundle", "make_bundle", "to_bytes"]

_SINGLES = 8  # images that are also asked about one by one

Say = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """What is made of a network.

    input: "pixels" or "image", see `BundleInfo`. precision: of weights and activations; float32 has to give equal
    answers, the others may lose `max_drop` percentage points of accuracy. calibration: images for int8.
    """

    input: Input = "pixels"
    precision: Precision = "float32"
    max_drop: float = 1.0
    calibration: ImageSet | None = None


class Graphs(NamedTuple):
    """An onnx.ModelProto each. whole: of pixels, float32. small: of pixels, in the precision asked for. shipped: it."""

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
    """Write `network` as a bundle to `path` once it answers about `images` as the network does; return the report.

    network: images (N, 3, H, W), 0-255, to logits; in evaluation mode, on the CPU.
    The report is written too, as `report_path`; where the gate fails it is all that is left.
    Raises: ParityError: the answers differ, or mean nothing. BundleError: the network cannot be exported.
    """
    info = replace(info, input=settings.input, precision=settings.precision)
    say(f"Asking the checkpoint about {len(images):,} images")
    reference = logits_of_network(network, info.preprocess, images, progress=progress)
    refuse_untrained(reference, task=info.task)
    say("Making the graph")
    graphs = make_bundle(network, info, settings, say=say)
    bundle = bundle_from_bytes(to_bytes(graphs.shipped, info), name=str(path))
    say("Asking the export about the same images")
    answers = logits_of_bundle(bundle, images, progress=progress)
    gate = judge(images, reference, answers, info=info, max_drop=settings.max_drop)
    is_suspect = not gate.passed and not gate.is_exact
    few = prepared(info.preprocess, _first(images)) if is_suspect else []
    stop_if_failed(gate, path, layers=moved_layers(graphs.whole, graphs.small, few) if few else ())
    if gate.is_exact:
        _check_singles(bundle, images, answers, gate=gate, path=path)
    data = to_bytes(graphs.shipped, replace(info, parity=gate.to_dict(names=False)))
    sha256 = bundle_from_bytes(data, name=str(path)).sha256
    with durable_write(path, size=len(data)) as file:
        file.write(data)
    report = {**gate.to_dict(), "sha256": sha256, "size_bytes": len(data)}
    write_report(path, report)
    return report


def make_bundle(network: nn.Module, info: BundleInfo, settings: Settings, *, say: Say) -> Graphs:
    """Return the graph to be shipped, and what it is made of; those that are equal are one object."""
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
    """Return a bundle of an onnx.ModelProto without metadata."""
    body: bytes = graph.SerializeToString(deterministic=True)
    return seal(body + metadata_entry(DOCUMENT_KEY, info.to_json()))


def _check_singles(bundle: Bundle, images: ImageSet, answers: NDArray[np.float32], *, gate: Gate, path: Path) -> None:
    """Check that an image by itself gets the answer that it has in a batch. Raises: ParityError."""
    few = _first(images)
    alone = logits_of_bundle(bundle, few, batch_size=1)
    parity = compare(few.names, answers[: len(alone)], alone, task=bundle.task)
    if not parity.holds:
        write_report(path, {**gate.to_dict(), "passed": False, "alone": parity.to_dict()})
        raise ParityError(
            f"The export answers otherwise about an image alone than in a batch (probabilities differ by up to "
            f"{parity.max_probability_difference:.2g}): the network mixes the images of a batch. Nothing was written "
            f"as {path.name}; {report_path(path)} has the figures."
        )


def _first(images: ImageSet) -> ImageSet:
    return ImageSet(images.names[:_SINGLES], images.images)
