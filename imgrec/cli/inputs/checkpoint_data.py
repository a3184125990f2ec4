"""The network and the data of a checkpoint, for verbs that are options and `key=value` words: export, benchmark."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import nn

    from imgrec.core.checkpoint.checkpoint import CheckpointInfo
    from imgrec.data.loading.datamodule import ImageDataModule
    from imgrec.data.samples import Samples

__all__ = ["FromCheckpoint", "read_checkpoint", "read_data_of", "sha256_of", "split_to_test"]

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
        from imgrec.training.setup import load_classifier
    return FromCheckpoint(*load_classifier(path))


def read_data_of(path: str, words: Sequence[str]) -> "ImageDataModule":
    """Read the data of a checkpoint, with the changes that `words` make (`data.root=/mnt/photos`).

    Raises: ConfigError: a word that cannot be. DataError: the data is not there.
    """
    from hydra import compose, initialize_config_dir

    from imgrec.cli.hydra.command_line import quote, read_command_line
    from imgrec.cli.hydra.composition import explain_composition
    from imgrec.core.checkpoint.checkpoint import CheckpointInfo, load_checkpoint
    from imgrec.core.config.build import store_open_groups
    from imgrec.training.setup import from_checkpoint

    store_open_groups()
    line = read_command_line([f"checkpoint={quote(path)}", *words])
    try:
        with initialize_config_dir(str(line.config_folders[0]), version_base="1.3"):
            config = compose("evaluate", list(line.overrides))
    except Exception as error:
        raise explain_composition(error, line=line, config_name="evaluate") from error.__cause__
    payload = load_checkpoint(path)
    if not any(word.startswith("seed=") for word in words):
        config.seed = CheckpointInfo.from_checkpoint(payload, name=path).seed
    data, _ = from_checkpoint(payload, config)
    return data


def split_to_test(data: "ImageDataModule") -> "Samples":
    """Return the first split that there is of validation, test and training. Raises: DataError: there is none."""
    return data.split(next((split for split in _ORDER if data.has_split(split)), "val"))


def sha256_of(path: str) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
