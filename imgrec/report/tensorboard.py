"""The final evaluation in TensorBoard: confusion matrix, PR curves, and the run's settings beside its scores."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from imgrec.report.figures import draw_confusion_matrix, render
from imgrec.report.predictions import Predictions
from imgrec.report.scores import compute_scores

__all__ = ["log_evaluation", "settings"]

MAX_CLASSES_SHOWN = 50  # a PR curve per class: beyond this TensorBoard is no help
PARTS = ("data", "model", "loss", "optimizer", "scheduler")
NUMBERED = ("model", "loss", "optimizer", "scheduler", "mixing")
SAID_ELSEWHERE = ("name", "num_classes", "num_samples")
SINGLE = (("data", "batch_size"), ("preprocess", "size"), ("trainer", "max_epochs"), ("trainer", "precision"))


def log_evaluation(
    logger: Any, predictions: Predictions, *, config: Mapping[str, Any], result: Mapping[str, Any]
) -> None:
    """Write the scores of the best checkpoint to a TensorBoardLogger; any other logger gets the numbers alone."""
    part = _part(result["split"])
    scores = {f"{part}/{name}": value for name, value in result["metrics"].items() if value is not None}
    watched = {} if result["score"] is None else {f"best/{result['monitor']}": result["score"]}
    writer: Any = getattr(logger, "experiment", None)
    if not hasattr(writer, "add_pr_curve"):
        logger.log_metrics({**watched, **scores})
        return
    logger.log_hyperparams(settings(config), {**watched, **scores})
    if predictions.task == "single":
        matrix = np.array(compute_scores(predictions, resamples=0)["confusion_matrix"])
        picture = render(draw_confusion_matrix(matrix, class_names=predictions.class_names))
        writer.add_image(f"{part}/confusion_matrix", picture, dataformats="HWC")
    if len(predictions.class_names) <= MAX_CLASSES_SHOWN:
        _add_pr_curves(writer, predictions, part=part)
    logger.save()


def _part(split: str) -> str:
    """Return what tags begin with: scores of the best checkpoint on validation are no point of its curves."""
    return split if split == "test" else f"best_{split}"


def _add_pr_curves(writer: Any, predictions: Predictions, *, part: str) -> None:
    for index, name in enumerate(predictions.class_names):
        labels = predictions.labels
        is_class = labels[:, index] == 1 if labels.ndim == 2 else labels == index
        writer.add_pr_curve(f"{part}/{name}", is_class, predictions.probabilities[:, index])


def settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what people compare runs by, as group.key: what each part is, its numbers, and the size of the run."""
    parts = {group: _what(config.get(group)) for group in PARTS}
    numbers = {
        f"{group}.{key}": value
        for group in NUMBERED
        for key, value in (config.get(group) or {}).items()
        if isinstance(value, bool | int | float | str)
        and not key.startswith("_")
        and key not in ("name", "num_classes")
    }
    single = {f"{group}.{key}": (config.get(group) or {}).get(key) for group, key in SINGLE}
    found = {"seed": config.get("seed"), **parts, **numbers, **single}
    return {name: value for name, value in found.items() if value is not None}


def _what(part: Mapping[str, Any] | None) -> str | None:
    """Return the name of a part, or that of its class."""
    if not part:
        return None
    return str(part.get("name") or str(part.get("_target_")).rpartition(".")[2].removeprefix("make_"))
