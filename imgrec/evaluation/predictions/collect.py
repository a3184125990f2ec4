"""Runs a model over a split and returns its predictions, in the order of the data."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning import Trainer

from imgrec.data.images.properties import named_properties
from imgrec.data.loading.datamodule import ImageDataModule
from imgrec.data.samples import Column, Samples
from imgrec.errors import ConfigError
from imgrec.evaluation.predictions.predictions import Predictions
from imgrec.evaluation.predictions.scorer import Scorer


def predict(
    trainer: Trainer, scorer: Scorer, *, data: ImageDataModule, split: str, provenance: Mapping[str, str]
) -> Predictions:
    """Return the predictions for a split, complete in every process.

    Raises:
        ConfigError: The model has another number of outputs than the data has classes.
    """
    trainer.test(scorer, datamodule=data.on_split(split), verbose=False)
    rows = _gather(scorer.outputs, trainer.world_size)
    order = np.argsort(rows["indices"].numpy(), kind="stable")
    samples = data.split(split)
    assert np.array_equal(rows["indices"].numpy()[order], np.arange(len(samples))), "each sample exactly once"
    class_names = data.splits.class_names
    logits = rows["logits"].numpy()[order]
    if logits.shape[1] != len(class_names):
        raise ConfigError(
            f"The model has {logits.shape[1]} outputs, the data {len(class_names)} classes "
            f"({', '.join(list(class_names)[:5])}, ...). Evaluate on data with the model's classes."
        )
    return Predictions(
        names=samples.names,
        labels=samples.labels,
        logits=logits,
        class_names=class_names,
        task=data.splits.task,
        groups=samples.groups,
        columns=_columns(samples, rows["properties"].numpy()[order]),
        provenance=provenance,
    )


def _columns(samples: Samples, measured: NDArray[np.float32]) -> dict[str, Column]:
    """Return the metadata columns as `meta:NAME`, and the measured image properties as `image:NAME`."""
    meta = {f"meta:{name}": column for name, column in samples.columns.items()}
    return {**meta, **{f"image:{name}": column for name, column in named_properties(measured).items()}}


def _gather(outputs: list[dict[str, torch.Tensor]], world_size: int) -> dict[str, torch.Tensor]:
    """Join the batches of this process and of all others."""
    mine = {name: torch.cat([batch[name] for batch in outputs]) for name in outputs[0]} if outputs else {}
    if world_size == 1:
        return mine
    parts: list[Any] = [None] * world_size
    torch.distributed.all_gather_object(parts, mine)
    names = next((list(part) for part in parts if part), [])
    return {name: torch.cat([part[name] for part in parts if part]) for name in names}
