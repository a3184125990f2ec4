"""From a table of predictions to scores, files, pictures and a printed table. Names are imported when first used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imgrec.report.console import print_scores
    from imgrec.report.evaluation import write_evaluation
    from imgrec.report.figures import draw_confusion_matrix, draw_image_grid, draw_pr_curves, render, save_png
    from imgrec.report.predictions import Predictions
    from imgrec.report.scores import compute_scores
    from imgrec.report.table import read_parquet, write_parquet

__all__ = [
    "Predictions",
    "compute_scores",
    "draw_confusion_matrix",
    "draw_image_grid",
    "draw_pr_curves",
    "print_scores",
    "read_parquet",
    "render",
    "save_png",
    "write_evaluation",
    "write_parquet",
]

_HOMES = {
    "Predictions": "predictions",
    "compute_scores": "scores",
    "draw_confusion_matrix": "figures",
    "draw_image_grid": "figures",
    "draw_pr_curves": "figures",
    "print_scores": "console",
    "read_parquet": "table",
    "render": "figures",
    "save_png": "figures",
    "write_evaluation": "evaluation",
    "write_parquet": "table",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
