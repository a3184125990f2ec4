"""One line of progress: batch, epoch, loss, images a second, time left of the whole run."""

import sys
import time
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ProgressBar
from torch import Tensor

REFRESH_S = 0.25  # a terminal needs no more, and a step of a small network must not wait for it
LINE_S = 30.0  # where the output is a file: a line now and then


class ProgressLine(ProgressBar):
    """A bar that costs a clock reading per step. In a terminal one line is rewritten; in a file lines are few."""

    def __init__(self) -> None:
        super().__init__()
        self._enabled = True
        self._live = sys.stderr.isatty()
        self._images = 0
        self._batches_seen = 0
        self._started = 0.0
        self._last = 0.0
        self._paused = 0.0

    def disable(self) -> None:
        """Say nothing (Lightning calls this on every rank but the first)."""
        self._enabled = False

    def enable(self) -> None:
        """Speak again."""
        self._enabled = True

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print a line of its own, clear of the bar."""
        self._write(" ".join(str(arg) for arg in args), end="\n")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clocks."""
        self._images = self._batches_seen = 0
        self._started = self._last = time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: dict[str, Tensor], batch_idx: int
    ) -> None:
        """Count; write when it is time."""
        self._images += len(batch["indices"])
        self._batches_seen += 1
        now = time.monotonic()
        if now - self._last >= (REFRESH_S if self._live else LINE_S):
            self._last = now
            self._show(trainer, pl_module, batch_idx=batch_idx, seconds=now - self._started)

    def _show(self, trainer: Trainer, pl_module: LightningModule, *, batch_idx: int, seconds: float) -> None:
        batches = int(trainer.num_training_batches)
        loss = pl_module.last_loss
        parts = [
            _epoch(trainer),
            f"batch {batch_idx + 1}/{batches}",
            f"loss {float(loss) if isinstance(loss, Tensor) else float('nan'):.4f}",
            f"{self._images * trainer.world_size / seconds:,.0f} images/s",
        ]
        left = _batches_left(trainer, done=trainer.current_epoch * batches + batch_idx + 1)
        if left is not None:
            parts.append(f"{_clock(left * seconds / max(1, self._batches_seen))} left")
        text = "  ".join(parts)
        self._write(text, end="" if self._live else "\n")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave a line per epoch that stays."""
        scores = trainer.callback_metrics
        parts = [f"{name} {float(scores[name]):.4f}" for name in SHOWN if name in scores]
        rate = self._images * trainer.world_size / max(1e-9, time.monotonic() - self._started)
        self._write(f"{_epoch(trainer)}  {'  '.join(parts)}  {rate:,.0f} images/s", end="\n")

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock: images/s is the rate of training."""
        self._paused = time.monotonic()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let the clock go on."""
        self._started += time.monotonic() - self._paused

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clocks."""
        self._images = 0
        self._started = self._last = time.monotonic()

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: dict[str, Tensor],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count; write when it is time."""
        self._images += len(batch["indices"])
        now = time.monotonic()
        if now - self._last >= (REFRESH_S if self._live else LINE_S):
            self._last = now
            batches = int(sum(trainer.num_test_batches))
            rate = self._images * trainer.world_size / (now - self._started)
            left = _clock((batches - batch_idx - 1) * (now - self._started) / (batch_idx + 1))
            text = f"evaluating  batch {batch_idx + 1}/{batches}  {rate:,.0f} images/s  {left} left"
            self._write(text, end="" if self._live else "\n")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the line clean."""
        if self._live:
            self._write("", end="")

    def _write(self, text: str, *, end: str) -> None:
        if not self._enabled:
            return
        if self._live:
            text = f"\r\x1b[2K{text}"
        sys.stderr.write(text + end)
        sys.stderr.flush()


SHOWN = ("train/loss", "train/accuracy", "val/loss", "val/accuracy", "val/f1")


def _epoch(trainer: Trainer) -> str:
    """Return the present epoch, and of how many, where that is known."""
    of = f"/{trainer.max_epochs}" if _has_last_epoch(trainer) else ""
    return f"epoch {trainer.current_epoch + 1}{of}"


def _has_last_epoch(trainer: Trainer) -> bool:
    return trainer.max_epochs is not None and trainer.max_epochs >= 0


def _batches_left(trainer: Trainer, *, done: int) -> int | None:
    """Return the batches of the whole run that are still to come; None where only time or a signal ends it."""
    ends = []
    if _has_last_epoch(trainer):
        ends.append(int(trainer.max_epochs or 0) * int(trainer.num_training_batches))
    if trainer.max_steps >= 0:
        ends.append(trainer.max_steps * int(trainer.accumulate_grad_batches))
    return max(0, min(ends) - done) if ends else None


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
