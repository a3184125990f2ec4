"""Writes the evaluation of a split: used at the end of training and by evaluate."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torchmetrics import Metric

from imgrec.core.config.checks import check_choice
from imgrec.data.loading.datamodule import ImageDataModule
from imgrec.data.samples import SPLITS
from imgrec.errors import ConfigError
from imgrec.evaluation.decisions import Decisions
from imgrec.evaluation.decisions.console import print_decided
from imgrec.evaluation.decisions.decided import write_decided
from imgrec.evaluation.figures.console import print_metrics
from imgrec.evaluation.figures.draw_beside import write_with_figures
from imgrec.evaluation.figures.thumbnails import write_thumbnails
from imgrec.evaluation.metrics.metric_files import write_numbers
from imgrec.evaluation.predictions.predictions import Predictions
from imgrec.evaluation.provenance import Recorder

__all__ = ["split_or_val", "write_evaluation"]

log = logging.getLogger("imgrec")


@contextmanager
def write_evaluation(
    predictions: Predictions,
    decisions: Decisions,
    folder: Path,
    *,
    data: ImageDataModule,
    split: str,
    recorder: Recorder,
    more_metrics: Mapping[str, Metric] = MappingProxyType({}),
) -> Iterator[dict[str, Any]]:
    """Write an evaluation into `folder`, print its summary, and yield its metrics.

    The figures may be drawn in a separate process while the block runs; they are complete when it ends.

    Args:
        predictions: Of the split.
        decisions: Temperature and rules.
        folder: Exists.
        data: For the thumbnails.
        split: Its name.
        recorder: Measures the time.
        more_metrics: torchmetrics by name, updated once with the whole split.

    Raises:
        ConfigError: `more_metrics` has the name of a built-in metric.
        RunFolderError: A file cannot be written.
    """
    with ExitStack() as stack:
        with recorder.phase("evaluation"):
            stack.enter_context(write_with_figures(predictions, folder))
            metrics = write_numbers(predictions, folder, more=compute_more(predictions, more_metrics))
            write_thumbnails(predictions, data.split(split), folder)
            print_metrics(metrics)
            print_decided(write_decided(predictions, decisions, folder, split=split))
            log.info("Evaluation: %s (metrics.json, decisions.json, predictions.parquet, figures and more)", folder)
        yield metrics


def compute_more(predictions: Predictions, metrics: Mapping[str, Metric]) -> dict[str, Any]:
    """Return torchmetrics of a whole table: numbers, or lists for per-class metrics."""
    if not metrics:
        return {}
    probabilities = torch.from_numpy(predictions.probabilities)  # float64: in float32 a high temperature makes ties
    labels = torch.from_numpy(predictions.labels.astype("int64"))
    found: dict[str, Any] = {}
    for name, metric in metrics.items():
        fresh = metric.clone().cpu()
        fresh.reset()
        try:
            fresh.update(probabilities, labels)
            found[name] = fresh.compute().tolist()
        except Exception as error:  # whatever the user's metric raises
            raise ConfigError(
                f"metrics[{name!r}] was called with probabilities {tuple(probabilities.shape)} and labels "
                f"{tuple(labels.shape)} and raised {type(error).__name__}: {error}"
            ) from error
    return found


def split_or_val(data: ImageDataModule, name: str) -> str:
    """Return the name of the split to evaluate: `name`, or val where the data has no test split.

    Raises:
        ConfigError: An unknown name.
        DataError: No such split.
    """
    check_choice("split", name, SPLITS)
    if name != "test" or data.has_split("test") or not data.has_split("val"):
        data.split(name)  # raises DataError where there is none
        return name
    log.warning("The data has no test split: metrics are of the val split, which also selected the best checkpoint.")
    return "val"
