"""A panel per saliency map: image, map, map of shuffled weights, curves and verdict, drawn with matplotlib."""

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from imgrec.evaluation.figures.figures import drawable
from imgrec.evaluation.report.sections.numbers import percent
from imgrec.studies.explain.examine import Examination
from imgrec.studies.explain.overlay import draw_overlay
from imgrec.studies.explain.record import Shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Caption", "caption_of", "draw_panel"]

DPI = 100
MAP_COLOUR, RANDOM_COLOUR = "#0072B2", "#808080"
VERDICT_COLOURS = {"trustworthy": "#00694B", "weak": "#8A5300", "bad": "#A3220B"}
VERDICT_MARKS = {"trustworthy": "\N{CHECK MARK}", "weak": "~", "bad": "\N{MULTIPLICATION SIGN}"}  # not by colour alone
METHOD_TITLES = {"gradcam": "Grad-CAM", "integrated_gradients": "Integrated gradients", "occlusion": "Occlusion"}
_LONGEST_NAME, _LONGEST_PATH, _LINE = 22, 70, 40


@dataclass(frozen=True)
class Caption:
    """The text of a panel.

    Attributes:
        path: Of the image.
        label: True class; "" where it is not known.
        prediction: Predicted class; with several labels per image all of them, or "none".
        confidence: Of the prediction; None with several labels.
        target: The explained class.
        probability: Of the target.
    """

    path: str
    label: str
    prediction: str
    confidence: float | None
    target: str
    probability: float


def caption_of(shown: Shown, examination: Examination) -> Caption:
    """Return the text of a panel."""
    has_several = isinstance(shown.prediction, list)
    return Caption(
        path=shown.path,
        label=_named(shown.label) if shown.label is not None else "",
        prediction=_named(shown.prediction),
        confidence=None if has_several else shown.confidence,
        target=shown.target,
        probability=examination.probability,
    )


def _named(label: str | list[str]) -> str:
    return (", ".join(label) or "none") if isinstance(label, list) else label


def draw_panel(examination: Examination, caption: Caption) -> "Figure":
    """Draw the image, the map, the map of shuffled weights, deletion and insertion curves, and the verdict."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15.2, 3.35), dpi=DPI, facecolor="white")
    grid = figure.add_gridspec(
        1, 6, width_ratios=(1, 1, 1, 0.95, 0.95, 1.12), left=0.008, right=0.992, top=0.82, bottom=0.08, wspace=0.16
    )
    axes = [figure.add_subplot(grid[0, place]) for place in range(6)]
    image = examination.image
    title = METHOD_TITLES.get(examination.method, examination.method)
    _show(axes[0], image, "model input")
    _show(axes[1], draw_overlay(image, examination.saliency.values), title)
    _show(axes[2], draw_overlay(image, examination.randomized), "weights shuffled")
    _draw_curves(axes[3], examination, "deletion")
    _draw_curves(axes[4], examination, "insertion")
    _write_verdict(axes[5], examination)
    _write_caption(figure, caption)
    return figure


def _show(axes: Any, image: Any, title: str) -> None:
    axes.imshow(image, interpolation="nearest" if max(image.shape) < 64 else "antialiased")
    axes.set_axis_off()
    axes.set_title(title, fontsize=9.5, parse_math=False)


def _draw_curves(axes: Any, examination: Examination, kind: str) -> None:
    random = examination.random
    curves = examination.curves
    fraction = curves.fraction
    mean = np.mean([np.interp(fraction, one.fraction, getattr(one, kind)) for one in random], axis=0)
    for one in random:
        axes.plot(one.fraction, getattr(one, kind), color="#C8C8C8", linewidth=0.6, zorder=1)
    axes.plot(fraction, mean, color=RANDOM_COLOUR, linewidth=2, linestyle="--", label="random orders")
    axes.plot(fraction, getattr(curves, kind), color=MAP_COLOUR, linewidth=2.2, label="this map")
    good = "low is good" if kind == "deletion" else "high is good"
    axes.set_title(f"{kind}: {good}", fontsize=9.5)
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
    axes.set_xticklabels(["0", "share deleted" if kind == "deletion" else "share inserted", "1"], fontsize=8)
    axes.tick_params(labelsize=8, length=2)
    axes.set_box_aspect(1)
    axes.spines[["top", "right"]].set_visible(False)
    # Below the axis: curves may pass through any corner.
    axes.legend(fontsize=7.5, frameon=False, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.1), borderaxespad=0)


def _write_verdict(axes: Any, examination: Examination) -> None:
    axes.set_axis_off()
    grade, reason = examination.verdict
    mark = f"{VERDICT_MARKS[grade]} {grade.upper()}"
    axes.text(0, 1.0, mark, fontsize=15, fontweight="bold", color=VERDICT_COLOURS[grade], va="top")
    text = textwrap.fill(f"{reason[:1].upper()}{reason[1:]}.", _LINE)
    axes.text(0, 0.86, text, fontsize=8.5, va="top", parse_math=False, linespacing=1.3)
    axes.text(0, 0.0, "\n".join(_numbers(examination)), fontsize=8, va="bottom", color="#444444", linespacing=1.35)


def _numbers(examination: Examination) -> list[str]:
    lines = []
    if (found := examination.faithfulness) is not None:
        lines += [
            f"deletion {found.deletion_area:.2f} (random {found.random_deletion_area:.2f})",
            f"insertion {found.insertion_area:.2f} (random {found.random_insertion_area:.2f})",
        ]
    stages = ", ".join(
        f"{stage.stage.replace('_', ' ')} {'-' if stage.spearman is None else format(stage.spearman, '.2f')}"
        for stage in examination.stages
    )
    return [*lines, f"rank correlation with shuffled weights:\n{stages}"]


def _write_caption(figure: Any, caption: Caption) -> None:
    """Write label, prediction and path."""
    prediction = f"prediction {drawable(caption.prediction, longest=_LONGEST_NAME)}"
    prediction += "" if caption.confidence is None else f" ({percent(caption.confidence)})"
    label = f"label {drawable(caption.label, longest=_LONGEST_NAME)}" if caption.label else "label not known"
    parts = [label, prediction]
    if caption.confidence is None or caption.target != caption.prediction:
        parts.append(f"map for {drawable(caption.target, longest=_LONGEST_NAME)} ({percent(caption.probability)})")
    line = "  \N{MIDDLE DOT}  ".join(parts)
    figure.text(0.008, 0.955, line, fontsize=12, fontweight="bold", va="center", parse_math=False)
    path = drawable(caption.path, longest=_LONGEST_PATH)
    figure.text(0.992, 0.955, path, fontsize=8.5, color="#444444", va="center", ha="right", parse_math=False)
