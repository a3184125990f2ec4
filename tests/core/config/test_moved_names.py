"""Checkpoints written before the modules moved: every class that their configuration names is still found."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imgrec.core.checkpoint.checkpoint import load_checkpoint
from imgrec.core.checkpoint.content import CheckpointInfo
from imgrec.core.config.allow_list import MOVED, build_trusted_only, current_name
from imgrec.core.config.signature import locate

CHECKPOINTS = Path(__file__).parents[2] / "fixtures" / "before_layout"


def targets(config: Any) -> Iterator[str]:
    """Yield each `_target_` of a configuration."""
    if isinstance(config, dict):
        if "_target_" in config:
            yield config["_target_"]
        config = list(config.values())
    for item in config if isinstance(config, list) else ():
        yield from targets(item)


@pytest.mark.parametrize("name", ["best.ckpt", "last.ckpt"])
def test_every_target_of_an_earlier_checkpoint_is_found(name):
    checkpoint = load_checkpoint(CHECKPOINTS / name)
    stored = set(targets(checkpoint["imgrec"]["config"]))
    assert {"imgrec.losses.CrossEntropyLoss", "imgrec.sources.FolderData", "imgrec.mixing.BatchMixing"} <= stored
    read = set(targets(CheckpointInfo.from_checkpoint(checkpoint).config))
    assert read == {current_name(target) for target in stored}
    assert all(callable(locate(target, key="_target_")) for target in read)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("imgrec.losses.FocalLoss", "imgrec.training.losses.FocalLoss"),
        ("imgrec.trainer.make_trainer", "imgrec.training.trainer.make_trainer"),
        ("imgrec.trainers.X", "imgrec.trainers.X"),
        ("imgrec.data.Augment", "imgrec.data.Augment"),
        ("torch.nn.Linear", "torch.nn.Linear"),
    ],
)
def test_names_of_moved_packages_alone_change(old, new):
    assert current_name(old) == new


def test_no_new_name_is_an_old_one():
    assert all(current_name(new) == new for new in MOVED.values())


def test_an_object_of_an_earlier_checkpoint_is_built():
    loss = build_trusted_only({"_target_": "imgrec.losses.FocalLoss", "gamma": 3.0})
    assert (type(loss).__module__, loss.gamma) == ("imgrec.training.losses.focal", 3.0)
