"""From a checkpoint to a bundle that answers as the checkpoint does, or to nothing at all."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from imgrec.bundle import Bundle, BundleInfo, bundle_from_bytes
from imgrec.bundle.document import DOCUMENT_KEY, Input
from imgrec.bundle.seal import metadata_entry, seal
from imgrec.durable import durable_write, write_text
from imgrec.errors import ParityError
from imgrec.export.answers import Pictures, Progress, answers_of_bundle, answers_of_network
from imgrec.export.graph import make_graph
from imgrec.export.image_stage import add_image_stage
from imgrec.export.parity import Parity, compare, refuse_untrained

__all__ = ["Exported", "export", "report_path", "to_bytes"]

FORMAT = 1  # of the report
_SINGLES = 8  # pictures that are also asked about one by one

Say = Callable[[str], None]


@dataclass(frozen=True)
class Exported:
    """A bundle that passed its gate, and what the gate measured."""

    bundle: Bundle
    report: Mapping[str, Any]


def export(
    network: nn.Module, info: BundleInfo, path: Path, *, pictures: Pictures, input: Input, say: Say, progress: Progress
) -> Exported:
    """Write `network` as a bundle to `path` once it answers about `pictures` as the network does.

    network: images (N, 3, H, W), 0-255, to logits; in evaluation mode, on the CPU.
    Writes beside it NAME.report.json, which is all that is left where the gate fails.
    Raises: ParityError: the answers differ, or mean nothing. BundleError: the network cannot be exported.
    """
    say(f"Asking the checkpoint about {len(pictures):,} pictures")
    reference = answers_of_network(network, info.preprocess, pictures, progress=progress)
    refuse_untrained(reference, task=info.task)
    say("Making the graph")
    height, width = info.preprocess.height_width or (None, None)
    graph = make_graph(network, height=height, width=width)
    if input == "image":
        add_image_stage(graph, info.preprocess)
    info = replace(info, input=input)
    bundle = bundle_from_bytes(to_bytes(graph, info), name=str(path))
    say("Asking the bundle about the same pictures")
    answers = answers_of_bundle(bundle, pictures, progress=progress)
    parity = compare(pictures.names, reference, answers, task=info.task)
    _check_singles(bundle, pictures, answers)
    report = {"format": FORMAT, "passed": parity.holds, "parity": parity.to_dict()}
    if not parity.holds:
        _write_report(path, report)
        raise ParityError(_explain(parity, path))
    in_bundle = {key: value for key, value in parity.to_dict().items() if key != "different"}  # names may be private
    data = to_bytes(graph, replace(info, parity=in_bundle))
    bundle = bundle_from_bytes(data, name=str(path))
    with durable_write(path, size=len(data)) as file:
        file.write(data)
    report = {**report, "sha256": bundle.sha256, "size_bytes": len(data)}
    _write_report(path, report)
    return Exported(bundle, report)


def to_bytes(graph: Any, info: BundleInfo) -> bytes:
    """Return a bundle of an onnx.ModelProto without metadata."""
    body: bytes = graph.SerializeToString(deterministic=True)
    return seal(body + metadata_entry(DOCUMENT_KEY, info.to_json()))


def report_path(path: Path) -> Path:
    """Return where the report of an export lies: `model.onnx` -> `model.report.json`."""
    return path.with_name(f"{path.stem}.report.json")


def _write_report(path: Path, report: Mapping[str, Any]) -> None:
    write_text(report_path(path), json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def _check_singles(bundle: Bundle, pictures: Pictures, answers: NDArray[np.float32]) -> None:
    """Check that a picture by itself gets the answer that it has in a batch. Raises: ParityError."""
    few = Pictures(pictures.names[:_SINGLES], pictures.images)
    alone = answers_of_bundle(bundle, few, batch_size=1)
    parity = compare(few.names, answers[: len(alone)], alone, task=bundle.task)
    if not parity.holds:
        raise ParityError(
            f"The export answers otherwise about a picture alone than in a batch (probabilities differ by up to "
            f"{parity.max_probability_difference:.2g}). Nothing was written. The network mixes the pictures of a batch."
        )


def _explain(parity: Parity, path: Path) -> str:
    count = parity.pictures - parity.same_labels - parity.ties
    what = f"another label for {count} of {parity.pictures} pictures ({', '.join(parity.different[:3])})"
    numbers = (
        f"probabilities up to {parity.max_probability_difference:.2g} apart, where {parity.tolerance:g} is allowed"
    )
    return (
        f"The export does not answer as the checkpoint does: {what if count else 'the same labels'}, {numbers}. "
        f"Nothing was written as {path.name}; {report_path(path)} has the figures."
    )
