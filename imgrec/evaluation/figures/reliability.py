"""The reliability diagram: accuracy over confidence, before and after temperature scaling."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from imgrec.core.text import short
from imgrec.evaluation.figures.figures import COLOURS, DPI

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_reliability"]

WIDTH, HEIGHT = 4.4, 5.5  # of a diagram with its strip, inches
SIDE = 3.6  # of the square
_BLUE, _RED = COLOURS[0], COLOURS[1]


def draw_reliability(calibration: Mapping[str, Any]) -> "Figure":
    """Draw `before` and `after` of calibration.json side by side: bins of equal counts with their Wilson intervals.

    Below the diagonal a model is overconfident, above it underconfident. The strip below is the histogram of
    confidences.
    """
    from matplotlib.figure import Figure

    parts = [("temperature 1", calibration["before"])]
    if calibration["temperature"] != 1:
        parts.append((f"temperature {short(calibration['temperature'])}", calibration["after"]))
    figure = Figure(figsize=(WIDTH * len(parts), HEIGHT), dpi=DPI)
    is_multilabel = calibration["task"] == "multilabel"
    squares = [_place(figure, column, bottom=HEIGHT - SIDE - 0.3, height=SIDE) for column in range(len(parts))]
    strips = [_place(figure, column, bottom=0.55, height=0.22 * SIDE) for column in range(len(parts))]
    for square, strip, (title, measured) in zip(squares, strips, parts, strict=True):
        strip.sharex(square)
        _draw_bins(square, measured["bins_mass"], title=title, measured=measured)
        _draw_counts(strip, measured["bins_width"])
        square.tick_params(labelbottom=False)
        strip.set_xlabel("probability of a label" if is_multilabel else "confidence")
    squares[0].set_ylabel("share of positive labels" if is_multilabel else "accuracy")
    strips[0].set_ylabel("share")
    return figure


def _place(figure: "Figure", column: int, *, bottom: float, height: float) -> Any:
    """Return axes of that height (inches). No layout engine: it would draw everything twice."""
    width = figure.get_figwidth()
    left = WIDTH * column + WIDTH - SIDE - 0.1
    return figure.add_axes((left / width, bottom / HEIGHT, SIDE / width, height / HEIGHT))


def _draw_bins(axes: Any, bins: Sequence[Mapping[str, Any]], *, title: str, measured: Mapping[str, Any]) -> None:
    confidence, accuracy, low, high = (
        np.array([one[key] for one in bins]) for key in ("confidence", "accuracy", "accuracy_low", "accuracy_high")
    )
    axes.plot([0, 1], [0, 1], color="#888888", linewidth=1, linestyle="--", zorder=1)
    # The share may lie outside its interval by a rounding error.
    bars = [np.maximum(accuracy - low, 0), np.maximum(high - accuracy, 0)]
    axes.vlines(confidence, accuracy, confidence, color=_RED, linewidth=2.5, alpha=0.35, zorder=2)
    axes.errorbar(confidence, accuracy, yerr=bars, fmt="o", markersize=4, color=_BLUE, capsize=2, linewidth=1, zorder=3)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.set_title(title, fontsize=11)
    shown = {"ECE": "ece_width", "  if calibrated": "ece_by_chance", "log loss": "log_loss"}
    lines = [f"{name} {measured[key]:.4f}" for name, key in shown.items()]
    axes.text(0.03, 0.97, "\n".join(lines), transform=axes.transAxes, va="top", fontsize=9)
    axes.grid(alpha=0.25)


def _draw_counts(axes: Any, bins: Sequence[Mapping[str, Any]]) -> None:
    total = sum(one["count"] for one in bins)
    left = [one["lower"] for one in bins]
    width = [one["upper"] - one["lower"] for one in bins]
    axes.bar(left, [one["count"] / total for one in bins], width=width, align="edge", color=_BLUE, alpha=0.6)
    axes.set(ylim=(0, 1), yticks=[0, 0.5, 1])
    axes.grid(alpha=0.25)
