"""The images of an evaluation, from its table alone: confusion_matrix.png, pr_curves.png, reliability.png.

`python -m imgrec.evaluation.figures.draw_all FOLDER` draws them from the table in FOLDER, once its standard input has ended.
"""

import gc
import sys
from pathlib import Path

import numpy as np

from imgrec.evaluation.decisions.calibrated import measure_both
from imgrec.evaluation.figures.figures import draw_confusion_matrix, draw_pr_curves, save_png
from imgrec.evaluation.figures.reliability import draw_reliability
from imgrec.evaluation.predictions.parquet import read_parquet
from imgrec.evaluation.predictions.predictions import Predictions

__all__ = ["draw_images"]


def draw_images(predictions: Predictions, folder: Path) -> None:
    """Draw them into `folder`; several labels per image have no confusion matrix. Raises: RunFolderError."""
    names, labels = predictions.class_names, predictions.labels
    is_positive = labels == 1
    if predictions.task == "single":
        is_positive = labels[:, None] == np.arange(len(names))
        cells = labels.astype(np.int64) * len(names) + predictions.predicted
        matrix = np.bincount(cells, minlength=len(names) ** 2).reshape(len(names), -1)
        save_png(draw_confusion_matrix(matrix, class_names=names), folder / "confusion_matrix.png")
    curves = draw_pr_curves(predictions.probabilities, is_positive, class_names=names)
    save_png(curves, folder / "pr_curves.png")
    save_png(draw_reliability(measure_both(predictions)), folder / "reliability.png")


def main() -> None:
    """Draw the images of the folder that the command line names."""
    gc.disable()  # what matplotlib makes lives as long as this process, which is a second
    import matplotlib.backends.backend_agg
    import matplotlib.figure  # noqa: F401 - what takes longest, before the table is there

    folder = Path(sys.argv[1])
    sys.stdin.read()
    draw_images(read_parquet(folder / "predictions.parquet"), folder)


if __name__ == "__main__":
    main()
