"""From a configuration to the inputs of a job: the data and its facts, and the record of a checkpoint."""

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

__all__ = ["check_network", "make_record", "read_data"]

log = logging.getLogger("imgrec")


def read_data(
    config: DictConfig, *, data: ImageDataModule | None = None, report_to: Path | None = None, **given: Any
) -> tuple[DictConfig, ImageDataModule]:
    """Read the data of a configuration.

    Args:
        config: Its group `data` names the source; it is not changed.
        data: A data module that was made already, in place of `config.data`.
        report_to: For training: check all images first, and write the list of excluded ones into this folder.
        **given: Passed to the data module in place of keys of `config.data`.

    Returns:
        A copy of the configuration with `data.num_classes`, `data.num_samples` and `data.class_counts` as found, for
        the model, loss and metrics that refer to them; and the data module.
    """
    if data is None:
        data = build(config.copy().data, **given)  # a copy: Hydra resolves what `data` refers to in place
    assert data is not None
    data.log_notes()
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


def check_network(network: Any, preprocess: Any) -> None:
    """Check that the network takes images of the preprocessed size, and warn of a frozen random backbone.

    Raises:
        ConfigError: The images are too small for the network.
    """
    if not isinstance(network, ImageNetwork):
        return
    size = getattr(preprocess, "height_width", None)
    if size is not None:
        check_image_size(network, height=size[0], width=size[1])
    if network.frozen and network.loaded is None:
        log.warning("model.freeze=backbone with model.weights=null: the head learns from random features.")


def make_record(config: DictConfig, data: ImageDataModule, *, world_size: int) -> dict[str, Any]:
    """Return the plain data of a checkpoint, which it is rebuilt and checked from."""
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
    """Return digest, rule and seed of the split file, where the data has one."""
    if data.split_file is None:
        return {}
    from imgrec.data.splits.split_file import describe

    return {"splits": {**describe(data.split_file), "fold": data.fold}}
