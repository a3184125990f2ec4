"""Which split is scored, and what is written of it: the same at the end of a training and by evaluate."""

import logging
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pytorch_lightning import Trainer

from imgrec.core.config.checks import check_choice
from imgrec.data.loading.datamodule import ImageDataModule
from imgrec.data.samples import SPLITS
from imgrec.evaluation.decisions import Decisions
from imgrec.evaluation.decisions.decided import describe, write_decided
from imgrec.evaluation.figures.console import print_scores
from imgrec.evaluation.figures.draw_beside import table_and_images
from imgrec.evaluation.figures.thumbnails import write_thumbnails
from imgrec.evaluation.metrics.metric_files import write_numbers
from imgrec.evaluation.predictions.predictions import Predictions

__all__ = ["split_or_val", "write_scores"]

log = logging.getLogger("imgrec")


def write_scores(
    predictions: Predictions,
    decisions: Decisions,
    folder: Path,
    *,
    data: ImageDataModule,
    trainer: Trainer,
    last: ExitStack,
) -> dict[str, Any]:
    """Write an evaluation into `folder`, tell of it, and return its metrics; {} in all processes but the first.

    last: what ends when the caller has nothing else to do; the images are there then.
    """
    if not trainer.is_global_zero:
        return {}
    last.enter_context(table_and_images(predictions, folder))
    metrics = write_numbers(predictions, folder)
    write_thumbnails(predictions, data.split(data.test_split), folder)
    print_scores(metrics)
    for line in describe(write_decided(predictions, decisions, folder, split=data.test_split)):
        log.info(line)
    log.info("Evaluation: %s (metrics.json, decisions.json, predictions.parquet, images and more)", folder)
    return metrics


def split_or_val(data: ImageDataModule, name: str) -> str:
    """Return the name of the split to score: the one asked for, or validation where the data has no test split."""
    check_choice("split", name, SPLITS)
    if name != "test" or data.has_split("test") or not data.has_split("val"):
        data.split(name)  # raises DataError where there is none
        return name
    log.warning("The data has no test split: the scores are on validation, by which the best checkpoint was chosen.")
    return "val"
