"""Figures of an evaluation, drawn from its predictions: confusion_matrix.png, pr_curves.png, reliability.png.

`python -m imgrec.evaluation.figures.draw_all FOLDER` waits for the end of its standard input and then draws them from
FOLDER/predictions.parquet.
"""

import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from imgrec.errors import ConfigError, did_you_mean
from imgrec.evaluation.decisions.calibrated import measure_both
from imgrec.evaluation.figures.figures import draw_confusion_matrix, draw_pr_curves, save_png
from imgrec.evaluation.figures.reliability import draw_reliability
from imgrec.evaluation.predictions.parquet import read_parquet
from imgrec.evaluation.predictions.predictions import Predictions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES", "draw_figures", "figure_of"]

FIGURES = ("confusion_matrix", "pr_curves", "reliability")


def draw_figures(predictions: Predictions, folder: Path) -> None:
    """Write the figures into `folder`; with several labels per image without a confusion matrix.

    Raises:
        RunFolderError: A file cannot be written.
    """
    for name in FIGURES:
        if name != "confusion_matrix" or predictions.task == "single":
            save_png(figure_of(name, predictions), folder / f"{name}.png")


def figure_of(name: str, predictions: Predictions) -> "Figure":
    """Return one figure of an evaluation.

    Args:
        name: One of `FIGURES`.
        predictions: With labels.

    Raises:
        ConfigError: No figure of that name.
        DataError: A confusion matrix of several labels per image.
    """
    if name not in FIGURES:
        raise ConfigError(
            f"There is no figure {name!r}.{did_you_mean(str(name), FIGURES)} Figures: {', '.join(FIGURES)}."
        )
    names, labels = predictions.class_names, predictions.labels
    if name == "confusion_matrix":
        return draw_confusion_matrix(predictions.confusion_matrix(), class_names=names)
    if name == "reliability":
        return draw_reliability(measure_both(predictions))
    is_positive = labels == 1 if predictions.task == "multilabel" else labels[:, None] == np.arange(len(names))
    return draw_pr_curves(predictions.probabilities, is_positive, class_names=names)


def main() -> None:
    """Draw the figures of the folder given as command-line argument."""
    gc.disable()  # faster; the process lives for a second
    import matplotlib.backends.backend_agg
    import matplotlib.figure  # noqa: F401 - imported while the predictions are being written

    folder = Path(sys.argv[1])
    sys.stdin.read()
    draw_figures(read_parquet(folder / "predictions.parquet"), folder)


if __name__ == "__main__":
    main()
