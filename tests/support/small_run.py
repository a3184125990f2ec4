"""A run small enough for a test to repeat: real parts, few pixels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer, seed_everything
from torch import nn
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from imgrec.data.loading.datamodule import ImageDataModule
from imgrec.data.samples import Samples, Splits
from imgrec.training.callbacks import Checkpoints, ResumeState, RunLog, StopOnNonFinite
from imgrec.training.classifier import Classifier
from imgrec.training.trainer import make_trainer

NUM_CLASSES = 3


class Noise(ImageDataModule):
    """Images of noise with a hint of their class: `num_train` for training, 20 each for validation and test."""

    def __init__(self, num_train: int = 50, num_test: int = 21, **loader: Any) -> None:
        super().__init__(preprocess=lambda image: image, **loader)
        self.num_train = num_train
        self.num_test = num_test

    def read(self, class_names: Sequence[str] | None) -> Splits:
        sizes = {"train": self.num_train, "val": 20, "test": self.num_test}
        return Splits(class_names=["a", "b", "c"], **{name: noise(name, size) for name, size in sizes.items()})


def noise(name: str, size: int) -> Samples:
    random = np.random.default_rng(len(name))
    labels = np.arange(size, dtype=np.int64) % NUM_CLASSES
    images = random.integers(0, 200, (size, 8, 8, 3)) + 20 * labels[:, None, None, None]
    return Samples(names=[f"{name}/{i}" for i in range(size)], images=images.astype(np.uint8), labels=labels)


class Draws:
    """An augmentation that adds noise drawn from its key."""

    after = "preprocess"

    def __call__(self, image: np.ndarray, *, key: tuple[int, int, int]) -> np.ndarray:
        return (image // 2 + np.random.default_rng(list(key)).integers(0, 99, image.shape)).astype(np.uint8)


class ToUnit(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.float() / 255


def small_net() -> nn.Module:
    """Return a convolution, batch normalisation and dropout: what draws numbers and what keeps statistics."""
    return nn.Sequential(
        ToUnit(), nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3), nn.Linear(144, 3)
    )


def small_classifier(**changes: Any) -> Classifier:
    metrics = {
        "accuracy": MulticlassAccuracy(NUM_CLASSES, average="micro"),
        "f1": MulticlassF1Score(NUM_CLASSES),
        "f1_per_class": MulticlassF1Score(NUM_CLASSES, average="none"),
    }
    parts: dict[str, Any] = {
        "loss": nn.CrossEntropyLoss(),
        "metrics": MetricCollection(metrics),
        "optimizer": lambda net: torch.optim.AdamW(net.parameters(), lr=1e-2),
        "scheduler": one_cycle,
        "class_names": ["a", "b", "c"],
    }
    return Classifier(parts.pop("net", None) or small_net(), **(parts | changes))


def one_cycle(optimizer: torch.optim.Optimizer, *, total_steps: int, steps_per_epoch: int) -> dict[str, Any]:
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=total_steps)
    return {"scheduler": schedule, "interval": "step"}


class Trace(Callback):
    """What each step saw and did: sample indices, pixels, loss. Can stop the run like a kill: without a word."""

    def __init__(self, stop_after: int | None = None, stop_in_validation: bool = False) -> None:
        self.steps: dict[int, tuple[Any, ...]] = {}
        self.stop_after = stop_after
        self.stop_in_validation = stop_in_validation
        self._seen = 0

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs, batch, batch_idx) -> None:
        seen = (tuple(batch["indices"].tolist()), int(batch["images"].long().sum()), float(pl_module.last_loss))
        self.steps[trainer.fit_loop.epoch_loop.total_batch_idx] = seen
        self._seen += 1
        if self._seen == self.stop_after and not self.stop_in_validation:
            raise Killed

    def on_validation_batch_start(self, *arguments: Any) -> None:
        if self.stop_in_validation and self._seen >= (self.stop_after or 0):
            raise Killed


class Killed(BaseException):
    """Stands for a SIGKILL: nothing may catch it."""


def fit(
    folder: Path,
    *,
    callbacks: Sequence[Callback] = (),
    data: ImageDataModule | None = None,
    classifier: Classifier | None = None,
    resume: bool | str = False,
    every_n_steps: int | None = 3,
    epochs: int = 3,
    monitor: str = "val/accuracy",
    before: Sequence[Callback] = (),
    **options: Any,
) -> tuple[Trainer, Classifier, RunLog]:
    """Train; with `resume` go on from `last.ckpt` in `folder` if there is one yet, or from the file it names."""
    seed_everything(7, verbose=False)
    data = data or Noise(batch_size=8, augment=Draws(), num_workers=0)
    classifier = classifier or small_classifier()
    log = RunLog(folder)
    trainer = make_trainer(
        gpus=0,
        precision=options.pop("precision", "32-true"),
        max_epochs=epochs,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=str(folder),
        callbacks=[
            *before, log, StopOnNonFinite(folder), ResumeState(), *callbacks,
            Checkpoints(folder, monitor=monitor, every_n_steps=every_n_steps, every_n_minutes=None),
        ],
        **options,
    )  # fmt: skip
    last = folder / (resume if isinstance(resume, str) else "last.ckpt")
    trainer.fit(classifier, datamodule=data, ckpt_path=last if resume and last.exists() else None)
    return trainer, classifier, log


def everything(trainer: Any, classifier: Any, log: Any) -> dict[str, Any]:
    """All that must be equal: weights, optimizer, schedule, counters, reported scores."""
    return {
        "weights": classifier.state_dict(),
        "optimizer": trainer.optimizers[0].state_dict(),
        "schedule": trainer.lr_scheduler_configs[0].scheduler.state_dict(),
        "steps": trainer.global_step,
        "history": log.history,
        "checkpoints": trainer.checkpoint_callback.state_dict(),
    }


def assert_equal(found: Any, expected: Any, where: str = "") -> None:
    if isinstance(expected, torch.Tensor):
        assert torch.equal(found, expected), where
    elif isinstance(expected, dict):
        assert found.keys() == expected.keys(), where
        for key in expected:
            assert_equal(found[key], expected[key], f"{where}.{key}")
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected), where
        for place, (one, other) in enumerate(zip(found, expected, strict=True)):
            assert_equal(one, other, f"{where}[{place}]")
    else:
        assert found == expected, where
