"""The gate between an export and its final name: what both sides said of the same images, and whether it may pass."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from imgrec.core.files.json_file import write_json
from imgrec.deploy.bundle import BundleInfo
from imgrec.deploy.export.layers import Layer
from imgrec.deploy.export.outputs import ImageSet
from imgrec.deploy.export.parity import Drop, Parity, compare, measure_drop
from imgrec.errors import ParityError

__all__ = ["Gate", "judge", "report_path", "stop_if_failed", "write_report"]

FORMAT = 1  # of the report


@dataclass(frozen=True)
class Gate:
    """What the two sides said of the same images, and what may differ.

    is_exact: labels have to be the same and probabilities within the tolerance; else accuracy may drop by `max_drop`
    percentage points.
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
        """Return plain values. names: of the images that differ, which may be private."""
        parity = self.parity.to_dict()
        if not names:
            del parity["different"]
        content = {"format": FORMAT, "passed": self.passed, "parity": parity, "drop": self.drop.to_dict()}
        return content if self.is_exact else {**content, "max_drop": self.max_drop}


def judge(images: ImageSet, first: NDArray[Any], second: NDArray[Any], *, info: BundleInfo, max_drop: float) -> Gate:
    """Compare what checkpoint (first) and export (second) said: logits (N, C). Raises: ParityError: not finite."""
    parity = compare(images.names, first, second, task=info.task)
    drop = measure_drop(first, second, labels=images.labels, task=info.task)
    return Gate(parity, drop, info.precision == "float32", max_drop)


def stop_if_failed(gate: Gate, path: Path, *, layers: Sequence[Layer] = ()) -> None:
    """Write the report of a failed gate, which is all that is left of the export. Raises: ParityError."""
    if not gate.passed:
        write_report(path, {**gate.to_dict(), "layers": [layer.to_dict() for layer in layers]})
        raise ParityError(_explain(gate, layers, path))


def report_path(path: Path) -> Path:
    """Return where the report of an export lies: `model.onnx` -> `model.onnx.report.json`."""
    return path.with_name(f"{path.name}.report.json")


def write_report(path: Path, report: Mapping[str, Any]) -> None:
    """Write the report of the export `path`. Raises: RunFolderError."""
    write_json(report_path(path), report)


def _explain(gate: Gate, layers: Sequence[Layer], path: Path) -> str:
    end = f"Nothing was written as {path.name}; {report_path(path)} has the figures."
    parity, drop = gate.parity, gate.drop
    if not gate.is_exact:
        worst = ", ".join(f"{layer.name} ({layer.operator}, {layer.sqnr_db:.0f} dB)" for layer in layers[:3])
        moved = f" Layers that moved most: {worst}." if layers else ""
        what = "Accuracy drops by" if drop.measured == "accuracy" else "The share of images with another label is"
        return (
            f"{what} {drop.points:.1f} points ({drop.low:.1f} to {drop.high:.1f}, 95 %), and --max-drop is "
            f"{gate.max_drop:g}.{moved} {end}"
        )
    count = parity.images - parity.same_labels - parity.ties
    what = f"another label for {count} of {parity.images} images ({', '.join(parity.different[:3])})"
    numbers = (
        f"probabilities up to {parity.max_probability_difference:.2g} apart, where {parity.tolerance:g} is allowed"
    )
    return (
        f"The export does not answer as the checkpoint does: {what if count else 'the same labels'}, {numbers}. {end}"
    )
