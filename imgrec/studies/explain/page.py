"""explain.html: saliency maps with their checks on one self-contained page without scripts."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from imgrec.core.html import page as html_page
from imgrec.core.text import printable
from imgrec.evaluation.report.sections.numbers import percent
from imgrec.studies.explain.arrays import UInt8Array
from imgrec.studies.explain.examine import Examination
from imgrec.studies.explain.overlay import draw_overlay
from imgrec.studies.explain.panel import METHOD_TITLES

__all__ = ["MapView", "map_view", "to_html"]

_SIDE_PX = 260  # of an image in the page
_PLOT = (100, 60)  # width and height of a curve's drawing, in its own units


@dataclass(frozen=True)
class MapView:
    """A map as the page shows it.

    Attributes:
        row: Its record in explain.json.
        method: Title of the method.
        uris: Image, map, and map of shuffled weights, as data URIs.
        plots: Points of the curves of the map and of random orders, by kind.
    """

    row: Mapping[str, Any]
    method: str
    uris: tuple[str, str, str]
    plots: Mapping[str, tuple[str, str]]


def map_view(examination: Examination, row: Mapping[str, Any]) -> MapView:
    """Return what the page needs of a map. row: its record in explain.json."""
    image = examination.image
    panels = (
        image,
        draw_overlay(image, examination.saliency.values),
        draw_overlay(image, examination.randomized),
    )
    curves = row["curves"]
    plots = {
        kind: (
            _points(curves["fraction"], curves[kind]),
            _points(curves["fraction"], curves[f"random_{kind}"]),
        )
        for kind in ("deletion", "insertion")
    }
    first, second, third = (_uri(image) for image in panels)
    return MapView(row, METHOD_TITLES.get(examination.method, examination.method), (first, second, third), plots)


def to_html(content: Mapping[str, Any], views: Sequence[MapView], *, checkpoint: str) -> bytes:
    """Return the page. content: of explain.json; views: in the order of its rows."""
    folder = Path(__file__).parent / "templates"
    environment = html_page.environment(folder, visible=_visible, number=_number, percent=percent)
    text = environment.get_template("explain.html").render(
        content=content, views=views, checkpoint=checkpoint, methods=METHOD_TITLES, plot=_PLOT
    )
    return html_page.encode(text)


def _visible(value: str | list[str] | None) -> str:
    if value is None:
        return "not known"
    return printable((", ".join(value) or "none") if isinstance(value, list) else value)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _uri(image: UInt8Array) -> str:
    """Return the pixels as a small JPEG in a data URI."""
    small = Image.fromarray(image)
    small.thumbnail((_SIDE_PX, _SIDE_PX))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def _points(xs: Sequence[float], ys: Sequence[float]) -> str:
    """Return a curve of values 0 to 1 as the points of an SVG polyline."""
    width, height = _PLOT
    return " ".join(f"{width * x:.1f},{height * (1 - y):.1f}" for x, y in zip(xs, ys, strict=True))
