"""A Lightning run whose checkpoints go through imgrec: durable, safe to load, enough to go on exactly."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import EarlyStopping, EMAWeightAveraging, ModelCheckpoint
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from imgrec.core.checkpoint.checkpoint import load_checkpoint, save_checkpoint, verify
from imgrec.core.checkpoint.lightning_io import DurableCheckpointIO, link_checkpoint
from imgrec.errors import CheckpointError, NonFiniteError

# Lightning remarks on a loader without workers, on few batches to log, and on a folder that a resumed run knows.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers", "ignore:The number of training batches", "ignore:Checkpoint directory"
)


class Tiny(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))

    def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def validation_step(self, batch: list[torch.Tensor]) -> None:
        self.log("val/loss", nn.functional.cross_entropy(self.net(batch[0]), batch[1]))

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.parameters(), lr=1e-2)
        scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=16)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


class Poison(Callback):
    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *rest: Any) -> None:
        if trainer.global_step == 6:
            pl_module.net[0].weight.data[0, 0] = float("nan")  # type: ignore[index, union-attr, operator]


def fit(folder: Path, *, epochs: int, start: Path | None = None, callbacks: tuple[Callback, ...] = ()) -> Tiny:
    """Train for `epochs` of 4 steps, with a checkpoint `last.ckpt` after each."""
    torch.manual_seed(0)
    data = TensorDataset(torch.randn(32, 4), torch.randint(0, 3, (32,)))
    model = Tiny()
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        plugins=[DurableCheckpointIO()],
        callbacks=[
            EMAWeightAveraging(decay=0.9),
            EarlyStopping("val/loss", patience=100, check_finite=False),
            ModelCheckpoint(folder, filename="best", save_last=True, enable_version_counter=False),
            *callbacks,
        ],
    )
    trainer.fit(model, DataLoader(data, batch_size=8), DataLoader(data, batch_size=8), ckpt_path=start)
    return model


def test_checkpoints_of_a_run_are_whole_and_load_safely(tmp_path: Path) -> None:
    fit(tmp_path, epochs=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.ckpt", "last.ckpt", "last.previous.ckpt"]
    for path in tmp_path.iterdir():
        assert verify(path) is True
    last = load_checkpoint(tmp_path / "last.ckpt")
    assert last["global_step"] == 8
    assert load_checkpoint(tmp_path / "last.previous.ckpt")["global_step"] == 4
    assert {"state_dict", "current_model_state", "averaging_state", "optimizer_states", "lr_schedulers"} <= set(last)


def test_run_goes_on_from_the_checkpoint_to_the_same_weights(tmp_path: Path) -> None:
    whole = fit(tmp_path / "whole", epochs=4)
    fit(tmp_path / "half", epochs=2)
    resumed = fit(tmp_path / "half", epochs=4, start=tmp_path / "half" / "last.ckpt")
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_poisoned_weights_stop_the_run_and_the_last_good_checkpoint_stays(tmp_path: Path) -> None:
    with pytest.raises(NonFiniteError, match=r"NaN or infinity in .*net\.0\.weight"):
        fit(tmp_path, epochs=4, callbacks=(Poison(),))
    assert load_checkpoint(tmp_path / "last.ckpt")["global_step"] == 4


def test_lightning_cannot_be_told_to_load_objects(tmp_path: Path) -> None:
    save_checkpoint({"state_dict": {}}, tmp_path / "a.ckpt")
    plugin = DurableCheckpointIO()
    assert plugin.load_checkpoint(tmp_path / "a.ckpt", weights_only=True) == {"state_dict": {}}
    with pytest.raises(CheckpointError, match=r"weights_only=False for .*: imgrec never loads Python objects"):
        plugin.load_checkpoint(tmp_path / "a.ckpt", weights_only=False)


def test_lightning_cannot_load_from_an_address(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is a URL"):
        fit(tmp_path, epochs=1, start="https://example.org/a.ckpt")  # type: ignore[arg-type]


def test_tensors_go_to_the_device_asked_for(tmp_path: Path) -> None:
    save_checkpoint({"state_dict": {"w": torch.ones(2)}}, tmp_path / "a.ckpt")
    plugin = DurableCheckpointIO()
    assert plugin.load_checkpoint(tmp_path / "a.ckpt")["state_dict"]["w"].device == torch.device("cpu")
    there = plugin.load_checkpoint(tmp_path / "a.ckpt", map_location=torch.device("meta"))
    assert there["state_dict"]["w"].device == torch.device("meta")


def test_storage_options_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"storage_options=\{'a': 1\}: imgrec writes local files"):
        DurableCheckpointIO().save_checkpoint({}, tmp_path / "a.ckpt", storage_options={"a": 1})


def test_only_the_named_files_keep_their_predecessor(tmp_path: Path) -> None:
    plugin = DurableCheckpointIO(keep_previous=("a.ckpt",))
    for _ in range(2):
        plugin.save_checkpoint({"state_dict": {}}, tmp_path / "a.ckpt")
        plugin.save_checkpoint({"state_dict": {}}, tmp_path / "last.ckpt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.ckpt", "a.previous.ckpt", "last.ckpt"]


def test_removing_is_repeatable(tmp_path: Path) -> None:
    save_checkpoint({"state_dict": {}}, tmp_path / "a.ckpt")
    for _ in range(2):
        DurableCheckpointIO().remove_checkpoint(tmp_path / "a.ckpt")
    assert list(tmp_path.iterdir()) == []


def test_linked_checkpoint_is_the_same_file_and_the_one_before_is_kept(tmp_path: Path) -> None:
    for step, name in ((1, "last.ckpt"), (2, "best.ckpt")):
        save_checkpoint({"global_step": step, "state_dict": {}}, tmp_path / name)
    link_checkpoint(tmp_path / "best.ckpt", tmp_path / "last.ckpt")
    assert load_checkpoint(tmp_path / "last.ckpt")["global_step"] == 2
    assert load_checkpoint(tmp_path / "last.previous.ckpt")["global_step"] == 1
