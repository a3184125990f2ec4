"""The line of a network beside its rivals: from the folder that its run or its evaluation left."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imgrec.data.split_changes import relative_names
from imgrec.errors import DataError
from imgrec.report.predictions import Predictions, visible
from imgrec.report.table import read_parquet

__all__ = ["NetworkLine", "check_same_pictures", "evaluation_folder", "read_network"]

PREDICTIONS = "predictions.parquet"
MOST_NAMED = 3


@dataclass(frozen=True)
class NetworkLine:
    """A network as its evaluation has it; what its checkpoint adds, where that is still there, or None.

    source: the checkpoint or the file of weights that was evaluated, as written there.
    fit_s: of training, as its run says. size_bytes: of the weights. predict_ms_per_image: of the network alone, with
    pictures that are ready.
    """

    name: str
    folder: Path
    predictions: Predictions
    source: str
    fit_s: float | None = None
    size_bytes: int | None = None
    predict_ms_per_image: float | None = None


def evaluation_folder(folder: Path) -> Path:
    """Return the evaluation folder that `folder`, a run or an evaluation, is or has. Raises: DataError: neither."""
    for place in (folder, folder / "evaluation"):
        if (place / PREDICTIONS).is_file():
            return place
    raise DataError(
        f"{folder} holds no {PREDICTIONS}, nor does {folder / 'evaluation'}. Name the folder of a run that has ended, "
        "or of evaluate.py."
    )


def read_network(folder: Path) -> NetworkLine:
    """Read a network's line. Raises: DataError: no evaluation there, or a damaged one."""
    place = evaluation_folder(folder)
    predictions = read_parquet(place / PREDICTIONS)
    source = predictions.provenance.get("checkpoint") or predictions.provenance.get("weights") or str(folder)
    return NetworkLine(
        name=Path(source).name, folder=place, predictions=predictions, source=source, fit_s=_training_seconds(place)
    )


def check_same_pictures(network: Predictions, names: Sequence[str], labels: Sequence[str]) -> None:
    """Check that a network was scored on the same pictures, with the same classes. Raises: DataError: which differ.

    Names are compared from the folder down that they share, so that a data set may have moved; the order may differ.
    """
    theirs = dict(zip(relative_names(list(network.names)), _texts(network), strict=True))
    ours = dict(zip(relative_names(list(names)), labels, strict=True))
    if theirs.keys() != ours.keys():
        missing, more = sorted(theirs.keys() - ours.keys()), sorted(ours.keys() - theirs.keys())
        raise DataError(
            f"The network was scored on other pictures: {len(theirs)} there, {len(ours)} here; only there: "
            f"{_some(missing)}; only here: {_some(more)}. Give the words, the seed and the split file of its training."
        )
    changed = sorted(name for name, label in ours.items() if theirs[name] != label)
    if changed:
        raise DataError(
            f"{len(changed)} pictures have another label than when the network was scored: {_some(changed)}."
        )


def _texts(predictions: Predictions) -> list[str]:
    return [predictions.class_names[label] for label in predictions.labels.tolist()]


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(visible(name) for name in names[:MOST_NAMED])
    return (shown + (", ..." if len(names) > MOST_NAMED else "")) or "none"


def _training_seconds(folder: Path) -> float | None:
    """Return what provenance.json says of training; None where it says nothing, as after evaluate.py."""
    try:
        seconds = json.loads((folder / "provenance.json").read_bytes())["seconds"]["train"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return float(seconds) if isinstance(seconds, int | float) else None
