"""The check that an export must pass before it is written, and its report."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from imgrec.core.files.json_file import write_json
from imgrec.deploy.bundle import BundleInfo
from imgrec.deploy.export.layers import Layer
from imgrec.deploy.export.outputs import ImageSet, Progress, logits_of_network
from imgrec.deploy.export.parity import Drop, Parity, compare, measure_drop, refuse_untrained
from imgrec.errors import ParityError

__all__ = ["Gate", "judge", "report_path", "run_reference", "stop_if_failed", "write_report"]

FORMAT = 1  # of the report


@dataclass(frozen=True)
class Gate:
    """Result of the check.

    Attributes:
        parity: Agreement of checkpoint and export.
        drop: Of the accuracy.
        is_exact: True: labels must be identical and probabilities within the tolerance. False: accuracy may drop by
            `max_drop`.
        max_drop: Percentage points.
    """

    parity: Parity
    drop: Drop
    is_exact: bool
    max_drop: float

    @property
    def passed(self) -> bool:
        """Whether the export may be written."""
        return self.parity.holds if self.is_exact else self.drop.points <= self.max_drop

    def to_dict(self, *, names: bool = True) -> dict[str, Any]:
        """Return plain values, with the names of the images that differ if `names`; they may be private."""
        parity = self.parity.to_dict()
        if not names:
            del parity["different"]
        content = {"format": FORMAT, "passed": self.passed, "parity": parity, "drop": self.drop.to_dict()}
        return content if self.is_exact else {**content, "max_drop": self.max_drop}


def run_reference(
    network: Callable[[Tensor], Tensor],
    info: BundleInfo,
    images: ImageSet,
    *,
    say: Callable[[str], None],
    progress: Progress | None,
) -> NDArray[np.float32]:
    """Return logits (N, C) of the checkpoint. Raises: ParityError: It is not trained."""
    say(f"Running the checkpoint on {len(images):,} images")
    logits = logits_of_network(network, info.preprocess, images, progress=progress)
    refuse_untrained(logits, task=info.task)
    return logits


def judge(images: ImageSet, first: NDArray[Any], second: NDArray[Any], *, info: BundleInfo, max_drop: float) -> Gate:
    """Compare logits (N, C) of checkpoint (`first`) and export (`second`). Raises: ParityError: Not finite."""
    parity = compare(images.names, first, second, task=info.task)
    drop = measure_drop(first, second, labels=images.labels, task=info.task)
    return Gate(parity, drop, info.precision == "float32", max_drop)


def stop_if_failed(gate: Gate, path: Path, *, layers: Sequence[Layer] = ()) -> None:
    """Write the report of a failed check and raise ParityError; do nothing where the check passed."""
    if not gate.passed:
        write_report(path, {**gate.to_dict(), "layers": [layer.to_dict() for layer in layers]})
        raise ParityError(_explain(gate, layers, path))


def report_path(path: Path) -> Path:
    """Return the path of the report of an export: `model.onnx` -> `model.onnx.report.json`."""
    return path.with_name(f"{path.name}.report.json")


def write_report(path: Path, report: Mapping[str, Any]) -> None:
    """Write the report of the export `path`. Raises: RunFolderError."""
    write_json(report_path(path), report)


def _explain(gate: Gate, layers: Sequence[Layer], path: Path) -> str:
    end = f"Nothing was written as {path.name}; see {report_path(path)}."
    parity, drop = gate.parity, gate.drop
    if not gate.is_exact:
        worst = ", ".join(f"{layer.name} ({layer.operator}, {layer.sqnr_db:.0f} dB)" for layer in layers[:3])
        moved = f" Layers with the largest errors: {worst}." if layers else ""
        what = "Accuracy drops by" if drop.measured == "accuracy" else "The share of changed predictions is"
        return (
            f"{what} {drop.points:.1f} points (95 % interval {drop.low:.1f} to {drop.high:.1f}); --max-drop is "
            f"{gate.max_drop:g}.{moved} {end}"
        )
    count = parity.images - parity.same_labels - parity.ties
    what = f"{count} of {parity.images} predictions differ ({', '.join(parity.different[:3])})"
    numbers = f"probabilities differ by up to {parity.max_probability_difference:.2g} ({parity.tolerance:g} is allowed)"
    return (
        f"The export does not give the checkpoint's outputs: {what if count else 'identical predictions'}, {numbers}. "
        f"{end}"
    )
