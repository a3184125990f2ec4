"""The network and the data of a checkpoint, for verbs that are options and `key=value` words: export, benchmark."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import nn

    from imgrec.core.checkpoint.checkpoint import CheckpointInfo
    from imgrec.data.loading.datamodule import ImageDataModule
    from imgrec.data.samples import Samples

__all__ = ["FromCheckpoint", "read_checkpoint", "read_data_of", "split_to_test"]

_ORDER = ("val", "test", "train")


class FromCheckpoint(NamedTuple):
    """network: in evaluation mode, on the CPU. preprocess: its own. info: the checkpoint's record."""

    network: "nn.Module"
    preprocess: Any
    info: "CheckpointInfo"


def read_checkpoint(path: str) -> FromCheckpoint:
    """Build the network of a checkpoint, without its data. Raises: CheckpointError."""
    from imgrec.core.system.lean_imports import lean_imports

    with lean_imports():
        from imgrec.evaluation.restore import load_classifier
    return FromCheckpoint(*load_classifier(path))


def read_data_of(path: str, words: Sequence[str]) -> "ImageDataModule":
    """Read the data of a checkpoint, with the changes that `words` make (`data.root=/mnt/photos`).

    Raises: ConfigError: a word that cannot be. DataError: the data is not there.
    """
    from imgrec.core.checkpoint.checkpoint import load_checkpoint
    from imgrec.core.config.compose import compose_config
    from imgrec.core.config.overrides import quote
    from imgrec.evaluate_job import from_checkpoint

    with compose_config("evaluate", [f"checkpoint={quote(path)}", *words]) as config:
        return from_checkpoint(load_checkpoint(path), config)[1]


def split_to_test(data: "ImageDataModule") -> "Samples":
    """Return the first split that there is of validation, test and training. Raises: DataError: there is none."""
    return data.split(next((split for split in _ORDER if data.has_split(split)), "val"))
