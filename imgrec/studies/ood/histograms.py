"""Histograms of each OOD score for in-distribution and out-of-distribution images."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from imgrec.evaluation.figures.figures import COLOURS, DPI

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_histograms"]

_TITLES = {
    "max_softmax": "maximum softmax probability",
    "energy": "negative energy",
    "knn": "k nearest neighbours",
    "mahalanobis": "Mahalanobis distance",
}
_KINDS = (("in_distribution", "in-distribution"), ("ood", "out-of-distribution"))


def draw_histograms(scores: Sequence[Mapping[str, Any]]) -> "Figure":
    """Draw the rows `scores` of ood.json: shares per bin, and the threshold at 95 % true positive rate."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(scores), 3.4), dpi=DPI, layout="constrained")
    for axes, score in zip(figure.subplots(1, len(scores), squeeze=False)[0], scores, strict=True):
        edges = score["histogram"]["edges"]
        for (kind, label), colour in zip(_KINDS, COLOURS, strict=False):
            counts = score["histogram"][kind]
            shares = [count / sum(counts) for count in counts]
            axes.stairs(shares, edges, fill=True, color=colour, alpha=0.45, label=label)
            axes.stairs(shares, edges, color=colour)
        axes.axvline(score["threshold"], color="#444444", linestyle="--", linewidth=1)
        title = f"{_TITLES[score['name']]}\nAUROC {score['auroc']:.3f}, FPR at 95 % TPR {score['fpr_at_95_tpr']:.1%}"
        axes.set_title(title, fontsize=10)
        axes.set(xlim=(edges[0], edges[-1]), yticks=[], xlabel="score")
    figure.axes[0].legend(loc="upper left", frameon=False)
    figure.axes[0].set_ylabel("share of images")
    return figure
