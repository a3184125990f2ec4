"""What can be done with an evaluated network beyond its scores: a study is an object chosen by a group of conf/."""

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
    """What a study looks at.

    network: images (N, 3, H, W), uint8 or float 0-255, to logits (N, C); in evaluation mode, on `device`.
    data: the data module. split: the name of the split that was scored.
    predictions: what the network said about that split, in its order.
    folder: of the evaluation; a study writes NAME.json there, and images into a folder NAME.
    """

    network: "nn.Module"
    data: "ImageDataModule"
    split: str
    predictions: "Predictions"
    folder: Path
    device: "torch.device"


class Study(Protocol):
    """An object of a group in `STUDIES`: writes what it finds into the folder of the evaluation."""

    def __call__(self, subject: Subject, /) -> None:
        """Look at `subject`. Raises: ImgrecError: it cannot be studied so."""
        ...


@runtime_checkable
class Checked(Protocol):
    """A study that knows before the network is asked whether it can be made."""

    def check(self, data: "ImageDataModule", /) -> None:
        """Look whether it can be made. Raises: ImgrecError: something is missing, or the data is not of its kind."""
        ...


def check_studies(studies: Mapping[str, Study], data: "ImageDataModule") -> None:
    """Let the studies that can say so say that they cannot be made. Raises: ImgrecError."""
    for study in studies.values():
        if isinstance(study, Checked):
            study.check(data)


def run_studies(studies: Mapping[str, Study], subject: Subject) -> None:
    """Run the studies that were chosen, by the name of their group."""
    for name, study in studies.items():
        log.info("%s: %s", name, type(study).__name__)
        study(subject)
