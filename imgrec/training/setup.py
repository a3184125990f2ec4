"""From a configuration to what a job works with: the data, the facts that other parts need of it, and the record."""

import logging
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from imgrec import __version__
from imgrec.auditing.before_training import check_data
from imgrec.core.checkpoint.checkpoint import CheckpointInfo
from imgrec.core.config.build import build, to_plain
from imgrec.data.loading.datamodule import ImageDataModule
from imgrec.data.samples import count_classes
from imgrec.models.network import ImageNetwork, check_image_size

__all__ = ["check_network", "log_notes", "make_record", "read_data"]

log = logging.getLogger("imgrec")


def read_data(
    config: DictConfig, *, data: ImageDataModule | None = None, report_to: Path | None = None, **given: Any
) -> tuple[DictConfig, ImageDataModule]:
    """Read the data of a configuration.

    Args:
        config: Its group `data` names the source; it is not changed.
        data: A data module that was made already, in place of `config.data`.
        report_to: For training: check all images first, and write there which were excluded.
        **given: Passed to the data module in place of keys of `config.data`.

    Returns:
        A copy of the configuration in which `data.num_classes`, `data.num_samples` and `data.class_counts` are what
        was found, for the model, loss and metrics that refer to them; and the data module.
    """
    data = data if data is not None else build(config.data, **given)
    assert data is not None
    log_notes(data)
    if report_to is not None:
        data.quarantine.folder = report_to
        check_data(data)
    config, splits = config.copy(), data.splits
    num_classes = len(splits.class_names)
    config.data.num_classes = num_classes
    if splits.train is not None:
        config.data.num_samples = len(splits.train)
        config.data.class_counts = [int(count) for count in count_classes(splits.train.labels, num_classes)]
    return config, data


def log_notes(data: ImageDataModule) -> None:
    """Read the splits, and log what a user should know about them."""
    for note in data.splits.notes:
        log.warning("%s", note)


def check_network(network: Any, preprocess: Any) -> None:
    """Check that the network takes images of the preprocessed size, and say what would learn nothing.

    Raises: ConfigError.
    """
    if not isinstance(network, ImageNetwork):
        return
    size = getattr(preprocess, "height_width", None)
    if size is not None:
        check_image_size(network, height=size[0], width=size[1])
    if network.frozen and network.loaded is None:
        log.warning("model.freeze=backbone with model.weights=null: the head learns from random features.")


def make_record(config: DictConfig, data: ImageDataModule, *, world_size: int) -> dict[str, Any]:
    """Return what a checkpoint carries besides tensors: all that is needed to build and to check it again."""
    return CheckpointInfo(
        config=to_plain(config),
        class_names=list(data.splits.class_names),
        task=data.splits.task,
        data_fingerprint=data.fingerprint(),
        seed=config.seed,
        batch_size=data.batch_size,
        world_size=world_size,
        version=__version__,
        extra=_split_record(data),
    ).to_record()


def _split_record(data: ImageDataModule) -> dict[str, Any]:
    """Return what a checkpoint says of the split file that divided its data: digest, rule and seed."""
    if data.split_file is None:
        return {}
    from imgrec.data.splits.split_file import describe

    return {"splits": {**describe(data.split_file), "fold": data.fold}}
