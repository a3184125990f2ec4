"""Sections with images: worst mistakes and saliency maps."""

import io
from pathlib import Path
from typing import Any

import numpy as np

from imgrec.core.text import printable
from imgrec.evaluation.figures.choose import worst_mistakes
from imgrec.evaluation.predictions.predictions import Predictions
from imgrec.evaluation.report.blocks import Absent, Block, ImageCard, ImageGallery, Paragraph, Section
from imgrec.evaluation.report.evaluation_folder import EvaluationFolder, as_uri
from imgrec.evaluation.report.sections.numbers import count, decimal, percent

__all__ = ["mistakes_section", "saliency_blocks"]

NUM_MISTAKES = 36
NUM_PANELS = 24
PANEL_PX = 1100
PANEL_QUALITY = 78
VERDICTS = {"trustworthy": "good", "weak": "warning", "bad": "bad"}


def mistakes_section(folder: EvaluationFolder) -> Section:
    """Return the incorrect predictions with the highest confidence."""
    title = "Worst mistakes"
    lead = "Incorrect predictions, highest confidence first. Check the labels too: some of them may be incorrect."
    predictions = folder.predictions
    if predictions is None:
        return Section("mistakes", title, lead, [Absent(folder.problem, is_damaged=True)])
    rows = worst_mistakes(predictions)[:NUM_MISTAKES].tolist()
    if not rows:
        return Section("mistakes", title, "", [Paragraph("No incorrect predictions.")])
    cards = [_mistake(row, predictions, folder) for row in rows]
    blocks: list[Block] = [ImageGallery(cards)]
    if not any(card.uris for card in cards):
        text = "The images are neither in this folder nor at their paths. If they have moved:"
        blocks.append(Absent(text, "imgrec report FOLDER --images PHOTOS"))
    return Section("mistakes", title, lead, blocks)


def _mistake(row: int, predictions: Predictions, folder: EvaluationFolder) -> ImageCard:
    path = predictions.names[row]
    uri, shown = folder.thumbnails.get(path), folder.short(path)
    label, prediction = predictions.labels[row], predictions.predicted[row]
    if predictions.task == "single":
        confidence = percent(float(predictions.probabilities[row].max()))
        title, actual = f"{_names(predictions, prediction)}, {confidence}", _names(predictions, label)
    else:
        missed = _names(predictions, (label == 1) & (prediction == 0))
        added = _names(predictions, (label == 0) & (prediction == 1))
        parts = (("false negative: ", missed), ("false positive: ", added))
        title = "; ".join(kind + names for kind, names in parts if names)
        actual = _names(predictions, label == 1) or "none"
    return ImageCard([(uri, shown)] if uri else [], title, [f"label: {actual}", shown], tone="bad")


def _names(predictions: Predictions, chosen: Any) -> str:
    """Return the name of a class index, or the names of a mask over the labels."""
    indices = np.flatnonzero(chosen).tolist() if np.ndim(chosen) else [int(chosen)]
    return ", ".join(printable(predictions.class_names[index]) for index in indices)


def saliency_blocks(data: dict[str, Any], folder: Path) -> list[Block]:
    """Return the verdicts of `explain.json` and its panels."""
    rows = data["images"]
    verdicts = [row["verdict"] for row in rows]
    counts = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in VERDICTS if verdict in verdicts)
    text = (
        f"Method: {data['method']}. Verdicts on {count(len(rows), 'map')}: {counts or 'none'}. A map is trustworthy if "
        "hiding the regions it marks reduces the probability more than hiding random regions, and if it changes when "
        "the weights are randomized (Adebayo et al. 2018). Do not interpret a bad map."
    )
    blocks: list[Block] = [Paragraph(text)]
    panels = [panel for row in rows[:NUM_PANELS] if (panel := _panel(row, folder)) is not None]
    if panels:
        blocks.append(ImageGallery(panels, is_wide=True))
    if len(rows) > len(panels):
        blocks.append(Paragraph(f"{len(rows) - len(panels)} more maps: see the folder explain.", "note"))
    return blocks


def _panel(row: dict[str, Any], folder: Path) -> ImageCard | None:
    path = (folder / str(row["png"])).resolve()
    if folder.resolve() not in path.parents or not path.is_file():
        return None
    uri = as_uri(_smaller(path.read_bytes()))
    label, prediction = _label(row["label"]), _label(row["prediction"])
    reason = printable(str(row["reason"]))
    lines = [
        f"{reason[:1].upper()}{reason[1:]}.",
        f"Deletion AUC {decimal(row['deletion_auc'])} (random {decimal(row['random_deletion_auc'])}), insertion AUC "
        f"{decimal(row['insertion_auc'])} (random {decimal(row['random_insertion_auc'])}).",
        printable(str(row["path"])),
    ]
    title = f"prediction {prediction}" + (f", label {label}" if label not in (None, prediction) else "")
    title += f", map of {row['target']}" if row["target"] != row["prediction"] else ""
    images = [(uri, f"Saliency map of {printable(str(row['path']))}")]
    return ImageCard(
        images, f"{row['verdict']}: {printable(title)}", lines, tone=VERDICTS.get(row["verdict"], "warning")
    )


def _label(value: Any) -> str | None:
    """Return one class or several labels as text; None where unknown."""
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return None if value is None else str(value)


def _smaller(png: bytes) -> bytes:
    """Return an image as WebP, at most PANEL_PX wide.

    Raises:
        ValueError: It cannot be decoded.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(png)) as opened:
            image = opened.convert("RGB")
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError("a panel is not an image") from error
    if image.width > PANEL_PX:
        image = image.resize((PANEL_PX, round(image.height * PANEL_PX / image.width)), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    image.save(content, "WEBP", quality=PANEL_QUALITY, method=2)
    return content.getvalue()
