"""Claim: a training step through imgrec adds at most 0.8 ms to a plain PyTorch loop, and 1 % for resnet18.

Same network, data, loss, optimizer and settings on both sides, interleaved in one process. imgrec runs with everything
that `python train.py` turns on: train and validation metrics, the check for NaN, gradient norm, progress line,
TensorBoard, checkpoints. The time of a step is that of an epoch's batches divided by their number. What imgrec does
once at the end of an epoch (metrics, logs, history, a checkpoint) is reported separately as epoch_end_ms; validation is
excluded.

    python benchmarks/step_overhead.py            # writes benchmarks/results/step_overhead.json
    python benchmarks/step_overhead.py --only tiny --rounds 1 --output /tmp/step_overhead.json      # a short trial
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import torch
from machine import describe
from pytorch_lightning import Callback
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score, MulticlassPrecision, MulticlassRecall

from imgrec.models import make_backbone
from imgrec.training.callbacks import Checkpoints, ProgressLine, ResumeState, RunLog, StopOnNonFinite
from imgrec.training.classifier import Classifier
from imgrec.training.optim import make_optimizer
from imgrec.training.trainer import make_trainer

NUM_CLASSES = 10


class Batches(torch.utils.data.Dataset[dict[str, Tensor]]):
    """The same few batches repeated: reading costs nothing on either side."""

    def __init__(self, num_batches: int, *, batch_size: int, side: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self.num_batches = num_batches
        self.batches = [
            {
                "images": torch.randint(0, 256, (batch_size, 3, side, side), dtype=torch.uint8, generator=generator),
                "labels": torch.randint(0, NUM_CLASSES, (batch_size,), generator=generator),
                "indices": torch.arange(batch_size),
            }
            for _ in range(4)
        ]

    def __len__(self) -> int:
        return self.num_batches

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self.batches[index % len(self.batches)]


class Scale(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.float() / 255


def tiny() -> nn.Module:
    """Return a net whose plain step takes about 0.8 ms."""
    return nn.Sequential(
        Scale(), nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, NUM_CLASSES),
    )  # fmt: skip


def resnet18() -> nn.Module:
    """Return resnet18 with the stem for small images."""
    return make_backbone("resnet18", num_classes=NUM_CLASSES, stem="small")


def resnet18_large_stem() -> nn.Module:
    """Return resnet18 with the stem for 224 px: a step takes a tenth of the time, so that fixed costs show."""
    return make_backbone("resnet18", num_classes=NUM_CLASSES)


def optimizer(net: nn.Module) -> torch.optim.Optimizer:
    return make_optimizer(net, name="SGD", lr=0.01, momentum=0.9)


class Clock(Callback):
    """Adds up the time of training batches, and the time at the end of an epoch."""

    def __init__(self) -> None:
        self.batches = 0.0
        self.epoch_ends = 0.0
        self._since = 0.0

    def on_train_epoch_start(self, *arguments: Any) -> None:
        self._since = time.perf_counter()

    def on_validation_start(self, *arguments: Any) -> None:
        self.batches += time.perf_counter() - self._since

    def on_validation_end(self, *arguments: Any) -> None:
        self._since = time.perf_counter()

    def on_train_end(self, *arguments: Any) -> None:
        self.epoch_ends += time.perf_counter() - self._since  # of the last epoch: metrics, logs, checkpoint


def plain(net: nn.Module, data: Batches, *, epochs: int) -> float:
    """Return seconds per step of the plain loop."""
    step = optimizer(net)
    loss_function = nn.CrossEntropyLoss()
    net.to(memory_format=torch.channels_last) if len(list(net.modules())) > 20 else None
    started = time.perf_counter()
    for _ in range(epochs):
        net.train()
        for batch in DataLoader(data, batch_size=None):
            images = batch["images"].contiguous(memory_format=torch.channels_last)
            loss = loss_function(net(images), batch["labels"])
            loss.backward()
            step.step()
            step.zero_grad()
    return (time.perf_counter() - started) / (epochs * len(data))


AVERAGES: tuple[tuple[str, Literal["macro", "none"]], ...] = (("", "macro"), ("_per_class", "none"))


def ours(net: nn.Module, data: Batches, *, epochs: int, folder: Path) -> tuple[float, float]:
    """Return seconds per step through imgrec with everything on, and seconds of the last epoch's end."""
    metrics: dict[str, Metric | MetricCollection] = {
        f"{name}{suffix}": kind(NUM_CLASSES, average=average, validate_args=False)
        for kind, name in ((MulticlassPrecision, "precision"), (MulticlassRecall, "recall"), (MulticlassF1Score, "f1"))
        for suffix, average in AVERAGES
    }
    metrics["accuracy"] = MulticlassAccuracy(NUM_CLASSES, average="micro", validate_args=False)
    classifier = Classifier(
        net, loss=nn.CrossEntropyLoss(), metrics=MetricCollection(metrics), optimizer=optimizer,
        class_names=[str(index) for index in range(NUM_CLASSES)],
    )  # fmt: skip
    clock = Clock()
    trainer = make_trainer(
        gpus=0, precision="32-true", max_epochs=epochs, enable_model_summary=False,
        logger=TensorBoardLogger(folder, name="", version="tensorboard"), default_root_dir=str(folder),
        callbacks=[RunLog(folder), StopOnNonFinite(folder), ProgressLine(), ResumeState(), Checkpoints(folder), clock],
    )  # fmt: skip
    validation = Batches(2, batch_size=8, side=data.batches[0]["images"].shape[-1])
    trainer.fit(classifier, DataLoader(data, batch_size=None), DataLoader(validation, batch_size=None))
    return clock.batches / (epochs * len(data)), clock.epoch_ends


def rounds(make_net: Any, data: Batches, *, epochs: int, count: int) -> Iterator[tuple[float, float, float]]:
    for _ in range(count):
        torch.manual_seed(0)
        without = plain(make_net(), data, epochs=epochs)
        torch.manual_seed(0)
        with tempfile.TemporaryDirectory() as folder:
            yield without, *ours(make_net(), data, epochs=epochs, folder=Path(folder))


def summary(found: list[tuple[float, float, float]]) -> dict[str, float]:
    return {
        "plain_ms": 1000 * statistics.median(plain for plain, _, _ in found),
        "imgrec_ms": 1000 * statistics.median(ours for _, ours, _ in found),
        "added_ms": 1000 * statistics.median(ours - plain for plain, ours, _ in found),
        "ratio": statistics.median(ours / plain for plain, ours, _ in found),
        "epoch_end_ms": 1000 * statistics.median(end for _, _, end in found),
        "rounds": len(found),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "step_overhead.json")
    parser.add_argument("--only", choices=["tiny", "resnet18", "resnet18_large_stem"])
    arguments = parser.parse_args()
    cases = {
        "tiny": (tiny, Batches(500, batch_size=16, side=32), 2),
        "resnet18": (resnet18, Batches(8, batch_size=128, side=32), 1),
        "resnet18_large_stem": (resnet18_large_stem, Batches(20, batch_size=128, side=32), 1),
    }
    result: dict[str, Any] = {"machine": describe()}
    for name, (make_net, data, epochs) in cases.items():
        if arguments.only in (None, name):
            result[name] = summary(list(rounds(make_net, data, epochs=epochs, count=arguments.rounds)))
            print(name, json.dumps(result[name], indent=1))
    arguments.output.parent.mkdir(exist_ok=True)
    arguments.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
