"""The final evaluation in TensorBoard: confusion matrix, curves, reliability, mistakes, and settings beside scores."""

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

__all__ = ["log_evaluation", "part_of", "settings"]

MAX_CLASSES_SHOWN = 50  # a PR curve per class: beyond this TensorBoard is no help
NUM_MISTAKES = 25
MISTAKE_PX = 128
PARTS = ("data", "model", "loss", "optimizer", "scheduler")
NUMBERED = ("model", "loss", "optimizer", "scheduler", "mixing")
SAID_ELSEWHERE = ("name", "num_classes", "num_samples")
SINGLE = (("data", "batch_size"), ("preprocess", "size"), ("trainer", "max_epochs"), ("trainer", "precision"))


def log_evaluation(
    logger: Any, predictions: Predictions, *, config: Mapping[str, Any], result: Mapping[str, Any], folder: Path
) -> None:
    """Write the scores of the best checkpoint to a TensorBoardLogger; any other logger gets the numbers alone.

    folder: of the evaluation: calibration.json and thumbnails.parquet in it become images, where they are there.
    """
    part = part_of(result["split"])
    scores = {f"{part}/{name}": value for name, value in result["metrics"].items() if value is not None}
    watched = {} if result["score"] is None else {f"best/{result['monitor']}": result["score"]}
    writer: Any = getattr(logger, "experiment", None)
    if not hasattr(writer, "add_pr_curve"):
        logger.log_metrics({**watched, **scores})
        return
    logger.log_hyperparams(settings(config), {**watched, **scores})
    if predictions.task == "single":
        matrix = np.array(compute_metrics(predictions, resamples=0)["confusion_matrix"])
        image = render(draw_confusion_matrix(matrix, class_names=predictions.class_names))
        writer.add_image(f"{part}/confusion_matrix", image, dataformats="HWC")
    _add_images(writer, predictions, folder, part=part)
    if len(predictions.class_names) <= MAX_CLASSES_SHOWN:
        _add_pr_curves(writer, predictions, part=part)
    logger.save()


def _add_images(writer: Any, predictions: Predictions, folder: Path, *, part: str) -> None:
    """Add the reliability diagram and the worst mistakes, each under what was said of it."""
    calibration = read_json(folder / "calibration.json").data
    if calibration is not None:
        writer.add_image(f"{part}/reliability", render(draw_reliability(calibration)), dataformats="HWC")
    kept = read_thumbnails(folder)
    rows = [row for row in worst_mistakes(predictions).tolist() if predictions.names[row] in kept][:NUM_MISTAKES]
    if rows:
        images = np.stack([_square(kept[predictions.names[row]]) for row in rows])
        titles = [_title(predictions, row) for row in rows]
        writer.add_image(f"{part}/worst_mistakes", render(draw_image_grid(images, titles)), dataformats="HWC")


def _square(content: bytes) -> NDArray[np.uint8]:
    """Return an image in the middle of a white square: uint8 (MISTAKE_PX, MISTAKE_PX, 3)."""
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(content)) as image:
        way = Image.Resampling.NEAREST if max(image.size) <= MISTAKE_PX // 2 else Image.Resampling.BICUBIC
        padded = ImageOps.pad(image.convert("RGB"), (MISTAKE_PX, MISTAKE_PX), method=way, color="white")
    return np.asarray(padded, dtype=np.uint8)


def _title(predictions: Predictions, row: int) -> str:
    if predictions.task == "multilabel":
        wrong = np.flatnonzero(predictions.labels[row] != predictions.predicted[row])
        return ", ".join(predictions.class_names[index] for index in wrong.tolist())
    true, said = (predictions.class_names[int(label[row])] for label in (predictions.labels, predictions.predicted))
    return f"{true} called {said}"


def part_of(split: str) -> str:
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
