"""Sections with images: the worst mistakes, and where the network looked."""

import io
from pathlib import Path
from typing import Any

import numpy as np

from imgrec.evaluation.figures.choose import worst_mistakes
from imgrec.evaluation.predictions.predictions import Predictions, visible
from imgrec.evaluation.report.blocks import Absent, Block, ImageCard, ImageGallery, Section, Words
from imgrec.evaluation.report.evaluation_folder import EvaluationFolder, as_uri
from imgrec.evaluation.report.sections.numbers import percent, score

__all__ = ["explain_blocks", "mistakes_section"]

NUM_MISTAKES = 36
NUM_PANELS = 24
PANEL_PX = 1100
PANEL_QUALITY = 78


def mistakes_section(folder: EvaluationFolder) -> Section:
    """Return the mistakes of which the network was surest."""
    title = "Worst mistakes"
    lead = "The network was surest of these, and wrong. Some may be wrong labels: look before you blame the network."
    predictions = folder.predictions
    if predictions is None:
        return Section("mistakes", title, lead, [Absent(folder.problem, is_damaged=True)])
    rows = worst_mistakes(predictions)[:NUM_MISTAKES].tolist()
    if not rows:
        return Section("mistakes", title, "Not a single mistake in this set.", [Words("")])
    shown = [_mistake(row, predictions, folder) for row in rows]
    blocks: list[Block] = [ImageGallery(shown)]
    if not any(image.uris for image in shown):
        text = "The images are not in this folder, nor where its table says. If they have moved:"
        blocks.append(Absent(text, "imgrec report FOLDER --images PHOTOS"))
    return Section("mistakes", title, lead, blocks)


def _mistake(row: int, predictions: Predictions, folder: EvaluationFolder) -> ImageCard:
    name = predictions.names[row]
    uri, shown = folder.thumbnails.get(name), folder.short(name)
    true, said = _names(predictions, predictions.labels[row]), _names(predictions, predictions.predicted[row])
    sure = percent(float(predictions.probabilities[row].max()))
    if predictions.task == "single":
        title, lines = f"{said}, {sure}", [f"is {true}", shown]
    else:
        missed = _labels(predictions, (predictions.labels[row] == 1) & (predictions.predicted[row] == 0))
        wrong = _labels(predictions, (predictions.labels[row] == 0) & (predictions.predicted[row] == 1))
        title = "; ".join(
            part for part in (f"missed {missed}" if missed else "", f"wrongly {wrong}" if wrong else "") if part
        )
        lines = [f"is {true or 'none'}", shown]
    return ImageCard([(uri, shown)] if uri else [], title, lines, tone="bad")


def _names(predictions: Predictions, label: Any) -> str:
    if predictions.task == "multilabel":
        return _labels(predictions, label == 1)
    return visible(predictions.class_names[int(label)])


def _labels(predictions: Predictions, chosen: Any) -> str:
    return ", ".join(visible(predictions.class_names[index]) for index in np.flatnonzero(chosen).tolist())


def explain_blocks(data: dict[str, Any], folder: Path) -> list[Block]:
    """Return what `explain.json` says, with its panels."""
    rows = data["images"]
    verdicts = [row["verdict"] for row in rows]
    counts = ", ".join(f"{verdicts.count(word)} {word}" for word in ("trustworthy", "weak", "bad") if word in verdicts)
    blocks: list[Block] = [
        Words(
            f"Method: {data['method']}. Verdicts on {len(rows)} maps: {counts or 'none'}. A map counts as trustworthy "
            "when hiding what it marks hurts more than hiding random parts, and when it changes as the network is "
            "replaced by a random one (Adebayo et al. 2018). Do not read meaning into a bad map."
        )
    ]
    panels = [panel for row in rows[:NUM_PANELS] if (panel := _panel(row, folder)) is not None]
    if panels:
        blocks.append(ImageGallery(panels, is_wide=True))
    if len(rows) > len(panels):
        blocks.append(
            Words(f"{len(rows) - len(panels)} more maps are in the folder explain, or their files are gone.", "note")
        )
    return blocks


def _panel(row: dict[str, Any], folder: Path) -> ImageCard | None:
    path = (folder / str(row["png"])).resolve()
    if folder.resolve() not in path.parents or not path.is_file():
        return None
    uri = as_uri(_smaller(path.read_bytes()))
    true, prediction = _label(row["label"]), _label(row["prediction"])
    reason = visible(str(row["reason"]))
    lines = [
        f"{reason[:1].upper()}{reason[1:]}.",
        f"Deletion {score(row['deletion_auc'])} (random {score(row['random_deletion_auc'])}), insertion "
        f"{score(row['insertion_auc'])} (random {score(row['random_insertion_auc'])}).",
        visible(str(row["path"])),
    ]
    said = f"{prediction}, is {true}" if true not in (None, prediction) else f"{prediction}"
    said += f", shown for {row['target']}" if row["target"] != row["prediction"] else ""
    return ImageCard([(uri, f"Map of {visible(str(row['path']))}")], f"{row['verdict']}: {visible(said)}", lines,
                   tone={"trustworthy": "good", "bad": "bad"}.get(row["verdict"], "warning"))  # fmt: skip


def _label(value: Any) -> str | None:
    """Return a class, or several labels, as one text; None where it is not known."""
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return None if value is None else str(value)


def _smaller(png: bytes) -> bytes:
    """Return an image as WebP of at most PANEL_PX in width. Raises: ValueError: it cannot be decoded."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(png)) as opened:
            image = opened.convert("RGB")
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError("a panel is no image") from error
    if image.width > PANEL_PX:
        image = image.resize((PANEL_PX, round(image.height * PANEL_PX / image.width)), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    image.save(content, "WEBP", quality=PANEL_QUALITY, method=2)
    return content.getvalue()
