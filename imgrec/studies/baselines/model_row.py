"""The row of a trained model in the table of baselines, read from the folder of its run or evaluation."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imgrec.core.text import listed
from imgrec.data.splits.split_changes import relative_names
from imgrec.errors import DataError
from imgrec.evaluation.predictions.parquet import read_parquet
from imgrec.evaluation.predictions.predictions import Predictions

__all__ = ["ModelRow", "check_same_images", "evaluation_folder", "read_model_row"]

PREDICTIONS = "predictions.parquet"
MOST_NAMED = 3


@dataclass(frozen=True)
class ModelRow:
    """A trained model with its predictions.

    Attributes:
        name: Of the model.
        folder: Of the evaluation.
        predictions: For the evaluated split.
        source: The evaluated checkpoint or weights file.
        num_held_out: Images of the split that were not evaluated, because decision rules were fitted on them.
        fit_s: Seconds of training; None where not known.
        size_bytes: Of the weights; None where the checkpoint is not available.
        predict_ms_per_image: For preprocessed images; None where the checkpoint is not available.
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
    """Return the folder of an evaluation, given that folder or its run. Raises: DataError: No evaluation there."""
    for place in (folder, folder / "evaluation"):
        if (place / PREDICTIONS).is_file():
            return place
    raise DataError(
        f"{folder} holds no {PREDICTIONS}, nor does {folder / 'evaluation'}. Name the folder of a finished run "
        "or of an evaluation."
    )


def read_model_row(folder: Path) -> ModelRow:
    """Read the row of a model. Raises: DataError: No evaluation there, or a damaged one."""
    place = evaluation_folder(folder)
    predictions = read_parquet(place / PREDICTIONS)
    source = predictions.provenance.get("checkpoint") or predictions.provenance.get("weights") or str(folder)
    return ModelRow(
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
    """Check that a model was evaluated on the same images with the same labels.

    Names are compared relative to their common folder, so that a data set may have moved; the order may differ.

    Args:
        network: Predictions of the model.
        names: Images of the split.
        labels: Their class names.
        num_held_out: Images of the split that the model may lack.

    Returns:
        Sorted indices into `names` of the images that the model was evaluated on.

    Raises:
        DataError: Images or labels differ.
    """
    known = relative_names(list(names))
    ours = dict(zip(known, labels, strict=True))
    theirs = dict(zip(relative_names(list(network.names), known), _texts(network), strict=True))
    is_part = theirs.keys() < ours.keys() and len(ours) - len(theirs) == num_held_out
    if theirs.keys() != ours.keys() and not is_part:
        missing, more = sorted(theirs.keys() - ours.keys()), sorted(ours.keys() - theirs.keys())
        raise DataError(
            f"The model was evaluated on other images: {len(theirs)} there, {len(ours)} here; only there: "
            f"{listed(missing, limit=MOST_NAMED) or 'none'}; only here: {listed(more, limit=MOST_NAMED) or 'none'}. "
            "Give the arguments, seed and split file of its training."
        )
    changed = sorted(name for name, label in theirs.items() if ours[name] != label)
    if changed:
        raise DataError(
            f"{len(changed)} images have another label than when the model was evaluated: "
            f"{listed(changed, limit=MOST_NAMED)}."
        )
    return [place for place, name in enumerate(known) if name in theirs]


def _texts(predictions: Predictions) -> list[str]:
    return [predictions.class_names[label] for label in predictions.labels.tolist()]


def _num_held_out(folder: Path) -> int:
    """Return how many images decision rules were fitted on, from decisions.json; 0 where it does not say."""
    try:
        fitted_on = json.loads((folder / "decisions.json").read_bytes())["fitted_on"]
        return int(fitted_on["num_samples"]) if fitted_on["split"] == "holdout" else 0
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _training_seconds(folder: Path) -> float | None:
    """Return the seconds of training from provenance.json; None where it has none, as after evaluate.py."""
    try:
        seconds = json.loads((folder / "provenance.json").read_bytes())["seconds"]["train"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return float(seconds) if isinstance(seconds, int | float) else None
