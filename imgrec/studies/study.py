"""Studies of an evaluated model beyond its metrics; each is an object that a group of conf/ names."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import torch
    from torch import nn

    from imgrec.data.loading.datamodule import ImageDataModule
    from imgrec.evaluation.predictions.predictions import Predictions

__all__ = ["STUDIES", "Checked", "Study", "Subject", "check_studies", "run_studies"]

log = logging.getLogger("imgrec")

# The groups of conf/evaluate.yaml that name a study, in the order in which they run.
STUDIES = ("tta", "ood", "robustness", "explain")


@dataclass(frozen=True)
class Subject:
    """What a study examines.

    Attributes:
        network: Images (N, 3, H, W), uint8 or float 0-255, to logits (N, C); in evaluation mode, on `device`.
        data: The data module.
        split: Name of the evaluated split.
        predictions: For that split, in its order.
        folder: Of the evaluation; a study writes NAME.json there, and figures into a folder NAME.
        device: Where the network is.
    """

    network: "nn.Module"
    data: "ImageDataModule"
    split: str
    predictions: "Predictions"
    folder: Path
    device: "torch.device"


class Study(Protocol):
    """An object of a group in `STUDIES` that writes its results into the folder of the evaluation."""

    def __call__(self, subject: Subject, /) -> None:
        """Run the study. Raises: ImgrecError: The study does not fit the model or the data."""
        ...


@runtime_checkable
class Checked(Protocol):
    """A study that can be checked before inference starts."""

    def check(self, data: "ImageDataModule", /) -> None:
        """Check the study. Raises: ImgrecError: Something is missing, or the data does not fit."""
        ...


def check_studies(studies: Mapping[str, Study], data: "ImageDataModule") -> None:
    """Check all studies that can be checked. Raises: ImgrecError."""
    for study in studies.values():
        if isinstance(study, Checked):
            study.check(data)


def run_studies(studies: Mapping[str, Study], subject: Subject) -> None:
    """Run the studies, given by the names of their groups."""
    for name, study in studies.items():
        log.info("%s: %s", name, type(study).__name__)
        study(subject)
