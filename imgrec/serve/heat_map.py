"""Where in an image an answer comes from: parts are covered one after another, and the label's probability watched.

Zeiler and Fergus 2014, arXiv:1311.2901, section 4.2. It needs nothing of the network but its answers.
"""

import base64
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imgrec.data.samples import UInt8Array
from imgrec.decisions import Decisions
from imgrec.serve.answers import describe, narrower
from imgrec.serve.gate import Caller
from imgrec.serve.keys import Output
from imgrec.serve.models import ServedModel
from imgrec.serve.service import Service

__all__ = ["explain_image", "occlusion"]

GRID = 8  # parts a side
COVER = 2  # parts that are covered together, a side: a single part of a large thing says little
_CHUNK = 8  # images run at once, so that predictions get their turn between
_MOST_OPAQUE = 0.6

Run = Callable[[UInt8Array], NDArray[np.floating]]


async def explain_image(
    service: Service, model: ServedModel, data: bytes, *, caller: Caller, output: str | None
) -> dict[str, Any]:
    """Return the prediction for an image file, its label, and a PNG in base64 of what the network saw, with heat on it.

    Raises: Refusal.
    """
    kind = narrower(caller.output or service.settings.output, output)
    return await service.explain(model, data, lambda image, run: _explained(image, run, model, kind))


def _explained(image: UInt8Array, run: Run, model: ServedModel, output: Output) -> dict[str, Any]:
    logits = run(image[None])
    (prediction,) = describe(logits, model.decisions, output=output, reject=model.reject)
    index = int(np.argmax(logits[0]))
    heat = occlusion(image, run, model.decisions, index=index)
    return {
        "prediction": {"index": 0, **prediction},
        "label": model.decisions.class_names[index],
        "heat_map": base64.b64encode(_overlay(image, heat)).decode(),
    }


def occlusion(image: UInt8Array, run: Run, decisions: Decisions, *, index: int) -> NDArray[np.float64]:
    """Return (GRID, GRID): how much the probability of class `index` falls where an image is covered, 0 to 1.

    image: uint8 (H, W, 3), as the network sees it. 1 is the part that matters most; where nothing lowers it, all is 0.
    """
    edges = [np.linspace(0, side, GRID + 1).round().astype(int) for side in image.shape[:2]]
    cover = image.reshape(-1, 3).mean(axis=0).round().astype(np.uint8)
    places = [(row, column) for row in range(GRID - COVER + 1) for column in range(GRID - COVER + 1)]
    covered = np.repeat(image[None], len(places), axis=0)
    for one, (row, column) in zip(covered, places, strict=True):
        one[edges[0][row] : edges[0][row + COVER], edges[1][column] : edges[1][column + COVER]] = cover
    everything = np.concatenate([image[None], covered])
    logits = np.concatenate([run(everything[start : start + _CHUNK]) for start in range(0, len(everything), _CHUNK)])
    probabilities = decisions.probabilities(logits)[:, index]
    heat, times = np.zeros((GRID, GRID)), np.zeros((GRID, GRID))
    for drop, (row, column) in zip(probabilities[0] - probabilities[1:], places, strict=True):
        part = np.s_[row : row + COVER, column : column + COVER]
        heat[part] += drop
        times[part] += 1
    heat = np.maximum(heat / times, 0)
    return heat / heat.max() if heat.max() > 0 else heat


def _overlay(image: UInt8Array, heat: NDArray[np.float64]) -> bytes:
    """Return a PNG of the image with the heat on it, in orange: the more, the less of the image shows through."""
    height, width = image.shape[:2]
    smooth = Image.fromarray((heat * 255).astype(np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    opacity = np.asarray(smooth)[..., None] / 255 * _MOST_OPAQUE
    gray = np.asarray(Image.fromarray(image).convert("L").convert("RGB"), dtype=np.float64)
    mixed = gray * (1 - opacity) + np.array([255.0, 110.0, 0.0]) * opacity
    buffer = BytesIO()
    Image.fromarray(mixed.round().astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()
