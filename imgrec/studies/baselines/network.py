"""The line of a network beside its baselines: from the folder that its run or its evaluation left."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imgrec.core.text import listed
from imgrec.data.splits.split_changes import relative_names
from imgrec.errors import DataError
from imgrec.evaluation.predictions.parquet import read_parquet
from imgrec.evaluation.predictions.predictions import Predictions

__all__ = ["NetworkLine", "check_same_images", "evaluation_folder", "read_network"]

PREDICTIONS = "predictions.parquet"
MOST_NAMED = 3


@dataclass(frozen=True)
class NetworkLine:
    """A network as its evaluation has it; what its checkpoint adds, where that is still there, or None.

    source: the checkpoint or the file of weights that was evaluated, as written there.
    num_held_out: images of the scored split that were not scored, as its decisions were fitted on them.
    fit_s: of training, as its run says. size_bytes: of the weights. predict_ms_per_image: of the network alone, with
    images that are ready.
    """

    name: str
    folder: Path
    predictions: Predictions
    source: str
    num_held_out: int = 0
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
        name=Path(source).name,
        folder=place,
        predictions=predictions,
        source=source,
        num_held_out=_num_held_out(place),
        fit_s=_training_seconds(place),
    )


def check_same_images(
    network: Predictions, names: Sequence[str], labels: Sequence[str], *, num_held_out: int = 0
) -> list[int]:
    """Return the places in `names` of the images that a network was scored on, with the same labels, in order.

    All of them, or all but `num_held_out`. Raises: DataError: which differ. Names are compared from the folder down
    that they share, so that a data set may have moved; the order may differ.
    """
    known = relative_names(list(names))
    ours = dict(zip(known, labels, strict=True))
    theirs = dict(zip(relative_names(list(network.names), known), _texts(network), strict=True))
    is_part = theirs.keys() < ours.keys() and len(ours) - len(theirs) == num_held_out
    if theirs.keys() != ours.keys() and not is_part:
        missing, more = sorted(theirs.keys() - ours.keys()), sorted(ours.keys() - theirs.keys())
        raise DataError(
            f"The network was scored on other images: {len(theirs)} there, {len(ours)} here; only there: "
            f"{listed(missing, limit=MOST_NAMED) or 'none'}; only here: {listed(more, limit=MOST_NAMED) or 'none'}. "
            "Give the overrides, the seed and the split file of its training."
        )
    changed = sorted(name for name, label in theirs.items() if ours[name] != label)
    if changed:
        raise DataError(
            f"{len(changed)} images have another label than when the network was scored: "
            f"{listed(changed, limit=MOST_NAMED)}."
        )
    return [place for place, name in enumerate(known) if name in theirs]


def _texts(predictions: Predictions) -> list[str]:
    return [predictions.class_names[label] for label in predictions.labels.tolist()]


def _num_held_out(folder: Path) -> int:
    """Return how many images decisions.json says were kept from being scored; 0 where it says nothing."""
    try:
        fitted_on = json.loads((folder / "decisions.json").read_bytes())["fitted_on"]
        return int(fitted_on["num_samples"]) if fitted_on["split"] == "holdout" else 0
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _training_seconds(folder: Path) -> float | None:
    """Return what provenance.json says of training; None where it says nothing, as after evaluate.py."""
    try:
        seconds = json.loads((folder / "provenance.json").read_bytes())["seconds"]["train"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return float(seconds) if isinstance(seconds, int | float) else None
