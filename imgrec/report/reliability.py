"""The reliability diagram: what the network said against what came true, before and after temperature."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from imgrec.report.figures import COLOURS, DPI

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_reliability"]

_BLUE, _RED = COLOURS[0], COLOURS[1]


def draw_reliability(calibration: Mapping[str, Any]) -> "Figure":
    """Draw `before` and `after` of calibration.json side by side: bins of equal counts with their Wilson intervals.

    On the diagonal a network is right as often as it says. Below it is too sure, above not sure enough. The strip
    below shows where the answers are.
    """
    from matplotlib.figure import Figure

    parts = [("temperature 1", calibration["before"])]
    if calibration["temperature"] != 1:
        parts.append((f"temperature {calibration['temperature']:.3g}", calibration["after"]))
    figure = Figure(figsize=(4.4 * len(parts), 5.4), dpi=DPI, layout="constrained")
    axes = figure.subplots(2, len(parts), squeeze=False, sharex=True, height_ratios=[4, 1])
    for column, (title, measured) in enumerate(parts):
        _draw_bins(axes[0, column], measured["bins_mass"], title=title, measured=measured)
        _draw_counts(axes[1, column], measured["bins_width"])
    kind = "label" if calibration["task"] == "multilabel" else "answer"
    axes[0, 0].set_ylabel(f"share of {kind}s that came true")
    axes[1, 0].set_ylabel("share")
    for below in axes[1]:
        below.set_xlabel("what the network said")
    return figure


def _draw_bins(axes: Any, bins: Sequence[Mapping[str, Any]], *, title: str, measured: Mapping[str, Any]) -> None:
    said, true, low, high = (
        np.array([one[key] for one in bins]) for key in ("confidence", "accuracy", "accuracy_low", "accuracy_high")
    )
    axes.plot([0, 1], [0, 1], color="#888888", linewidth=1, linestyle="--", zorder=1)
    # The interval may end a rounding error short of its own share.
    bars = [np.maximum(true - low, 0), np.maximum(high - true, 0)]
    axes.vlines(said, true, said, color=_RED, linewidth=2.5, alpha=0.35, zorder=2)
    axes.errorbar(said, true, yerr=bars, fmt="o", markersize=4, color=_BLUE, capsize=2, linewidth=1, zorder=3)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.set_box_aspect(1)
    axes.set_title(title, fontsize=11)
    shown = {"ECE": "ece_width", "  by chance": "ece_by_chance", "log loss": "log_loss"}
    lines = [f"{name} {measured[key]:.4f}" for name, key in shown.items()]
    axes.text(0.03, 0.97, "\n".join(lines), transform=axes.transAxes, va="top", fontsize=9)
    axes.grid(alpha=0.25)


def _draw_counts(axes: Any, bins: Sequence[Mapping[str, Any]]) -> None:
    total = sum(one["count"] for one in bins)
    left = [one["lower"] for one in bins]
    width = [one["upper"] - one["lower"] for one in bins]
    axes.bar(left, [one["count"] / total for one in bins], width=width, align="edge", color=_BLUE, alpha=0.6)
    axes.set(ylim=(0, 1), yticks=[0, 0.5, 1])
    axes.set_box_aspect(0.22)
    axes.grid(alpha=0.25)
