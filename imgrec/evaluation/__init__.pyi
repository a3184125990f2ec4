from .figures.console import print_metrics
from .figures.figures import draw_confusion_matrix, draw_image_grid, draw_pr_curves, render, save_png
from .metrics.compute import compute_metrics
from .metrics.metric_files import write_evaluation
from .predictions.parquet import read_parquet, write_parquet
from .predictions.predictions import Predictions

__all__ = [
    "Predictions",
    "compute_metrics",
    "draw_confusion_matrix",
    "draw_image_grid",
    "draw_pr_curves",
    "print_metrics",
    "read_parquet",
    "render",
    "save_png",
    "write_evaluation",
    "write_parquet",
]
