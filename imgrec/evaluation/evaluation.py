"""A finished evaluation, read from its folder: what `imgrec.evaluate` returns."""

from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imgrec.core.files.json_file import read_json
from imgrec.evaluation.result import headline

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from imgrec.evaluation.predictions.predictions import Predictions

__all__ = ["Evaluation"]


@dataclass(frozen=True)
class Evaluation:
    """An evaluation, read from its folder; shows itself in a notebook.

    Attributes:
        folder: With metrics.json, predictions.parquet, report.html and the figures.
    """

    folder: Path

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """The contents of `metrics.json`: each metric, with `intervals`."""
        return read_json(self.folder / "metrics.json")

    @cached_property
    def predictions(self) -> "Predictions":
        """Labels, logits and probabilities of every image; `predictions.to_pandas()` is a table."""
        from imgrec.evaluation.predictions.parquet import read_parquet

        return read_parquet(self.folder / "predictions.parquet")

    @property
    def report(self) -> Path:
        """The page of the evaluation."""
        return self.folder / "report.html"

    def confusion_matrix(self) -> NDArray[np.int64]:
        """Return int64 (C, C): rows are labels, columns are predictions, in the order of `predictions.class_names`.

        Raises:
            DataError: Several labels per image: there is one 2 x 2 table per class.
        """
        return self.predictions.confusion_matrix()

    def plot(self, name: str) -> "Figure":
        """Return a matplotlib figure: "confusion_matrix", "pr_curves" or "reliability".

        Raises:
            ConfigError: No figure of that name.
        """
        from imgrec.evaluation.figures.draw_all import figure_of

        return figure_of(name, self.predictions)

    def _repr_html_(self) -> str:
        intervals = self.metrics.get("intervals", {})
        rows = [(name, value, intervals.get(name)) for name, value in headline(self.metrics).items()]
        cells = "".join(
            f"<tr><th>{escape(name)}</th><td>{_number(value)}</td><td>{_interval(limits)}</td></tr>"
            for name, value, limits in rows
        )
        return (
            f"<table><thead><tr><th>metric</th><th>value</th><th>95 % interval</th></tr></thead>{cells}</table>"
            f"<p>Report: <code>{escape(str(self.report))}</code></p>"
        )


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def _interval(limits: Any) -> str:
    is_pair = isinstance(limits, list | tuple) and len(limits) == 2 and None not in limits
    return f"{limits[0]:.4f} to {limits[1]:.4f}" if is_pair else ""
