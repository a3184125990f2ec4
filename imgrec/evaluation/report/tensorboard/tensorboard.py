"""The final evaluation in TensorBoard: confusion matrix, PR curves, reliability, worst mistakes, hyperparameters."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrec.evaluation.figures.choose import worst_mistakes
from imgrec.evaluation.figures.figures import draw_confusion_matrix, draw_image_grid, render
from imgrec.evaluation.figures.reliability import draw_reliability
from imgrec.evaluation.metrics.compute import compute_metrics
from imgrec.evaluation.predictions.predictions import Predictions
from imgrec.evaluation.report.evaluation_folder import read_json, read_thumbnails

__all__ = ["hyperparameters", "log_evaluation", "tag_prefix"]

MAX_CLASSES_SHOWN = 50  # with a PR curve each
NUM_MISTAKES = 25
MISTAKE_PX = 128
COMPONENTS = ("data", "model", "loss", "optimizer", "scheduler")
NUMBERED = ("model", "loss", "optimizer", "scheduler", "mixing")
SINGLE = (("data", "batch_size"), ("preprocess", "size"), ("trainer", "max_epochs"), ("trainer", "precision"))


def log_evaluation(
    logger: Any, predictions: Predictions, *, config: Mapping[str, Any], result: Mapping[str, Any], folder: Path
) -> None:
    """Write the evaluation of the best checkpoint to a TensorBoardLogger; other loggers get the metrics alone.

    Args:
        logger: Of the trainer.
        predictions: With labels.
        config: Of the run; its hyperparameters are logged beside the metrics.
        result: Content of result.json.
        folder: Of the evaluation; its calibration.json and thumbnails.parquet become images where they exist.
    """
    prefix = tag_prefix(result["split"])
    metrics = {f"{prefix}/{name}": value for name, value in result["metrics"].items() if value is not None}
    monitored = {} if result["score"] is None else {f"best/{result['monitor']}": result["score"]}
    writer: Any = getattr(logger, "experiment", None)
    if not hasattr(writer, "add_pr_curve"):
        logger.log_metrics({**monitored, **metrics})
        return
    logger.log_hyperparams(hyperparameters(config), {**monitored, **metrics})
    if predictions.task == "single":
        matrix = np.array(compute_metrics(predictions, resamples=0)["confusion_matrix"])
        image = render(draw_confusion_matrix(matrix, class_names=predictions.class_names))
        writer.add_image(f"{prefix}/confusion_matrix", image, dataformats="HWC")
    _add_images(writer, predictions, folder, prefix=prefix)
    if len(predictions.class_names) <= MAX_CLASSES_SHOWN:
        _add_pr_curves(writer, predictions, prefix=prefix)
    logger.save()


def _add_images(writer: Any, predictions: Predictions, folder: Path, *, prefix: str) -> None:
    """Add the reliability diagram and the worst mistakes, titled with label and prediction."""
    calibration = read_json(folder / "calibration.json").data
    if calibration is not None:
        writer.add_image(f"{prefix}/reliability", render(draw_reliability(calibration)), dataformats="HWC")
    thumbnails = read_thumbnails(folder)
    rows = [row for row in worst_mistakes(predictions).tolist() if predictions.names[row] in thumbnails][:NUM_MISTAKES]
    if rows:
        images = np.stack([_square(thumbnails[predictions.names[row]]) for row in rows])
        titles = [_title(predictions, row) for row in rows]
        writer.add_image(f"{prefix}/worst_mistakes", render(draw_image_grid(images, titles)), dataformats="HWC")


def _square(content: bytes) -> NDArray[np.uint8]:
    """Return an image centred on a white square: uint8 (MISTAKE_PX, MISTAKE_PX, 3)."""
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(content)) as image:
        resampling = Image.Resampling.NEAREST if max(image.size) <= MISTAKE_PX // 2 else Image.Resampling.BICUBIC
        padded = ImageOps.pad(image.convert("RGB"), (MISTAKE_PX, MISTAKE_PX), method=resampling, color="white")
    return np.asarray(padded, dtype=np.uint8)


def _title(predictions: Predictions, row: int) -> str:
    if predictions.task == "multilabel":
        incorrect = np.flatnonzero(predictions.labels[row] != predictions.predicted[row])
        return ", ".join(predictions.class_names[index] for index in incorrect.tolist())
    label, prediction = (
        predictions.class_names[int(column[row])] for column in (predictions.labels, predictions.predicted)
    )
    return f"{label} predicted as {prediction}"


def tag_prefix(split: str) -> str:
    """Return the prefix of tags; metrics of the best checkpoint on val stay apart from the training curves of val."""
    return split if split == "test" else f"best_{split}"


def _add_pr_curves(writer: Any, predictions: Predictions, *, prefix: str) -> None:
    for index, name in enumerate(predictions.class_names):
        labels = predictions.labels
        is_class = labels[:, index] == 1 if labels.ndim == 2 else labels == index
        writer.add_pr_curve(f"{prefix}/{name}", is_class, predictions.probabilities[:, index])


def hyperparameters(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the hyperparameters by group.key: names of the components, their values, batch size, epochs and so on."""
    names = {group: _name(config.get(group)) for group in COMPONENTS}
    values = {
        f"{group}.{key}": value
        for group in NUMBERED
        for key, value in (config.get(group) or {}).items()
        if isinstance(value, bool | int | float | str)
        and not key.startswith("_")
        and key not in ("name", "num_classes")
    }
    single = {f"{group}.{key}": (config.get(group) or {}).get(key) for group, key in SINGLE}
    found = {"seed": config.get("seed"), **names, **values, **single}
    return {name: value for name, value in found.items() if value is not None}


def _name(component: Mapping[str, Any] | None) -> str | None:
    """Return the name of a component, or that of its class."""
    if not component:
        return None
    return str(component.get("name") or str(component.get("_target_")).rpartition(".")[2].removeprefix("make_"))
