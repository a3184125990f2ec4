"""One line of progress: epoch, batch, loss, images/s and the time left of the whole run."""

import sys
import time
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ProgressBar
from torch import Tensor

REFRESH_S = 0.25  # in a terminal and in a notebook
LINE_S = 30.0  # between two lines in a file


class ProgressLine(ProgressBar):
    """A progress bar for which a step is a clock reading (0.3 µs; an update of rich.progress takes 7 to 9 µs).

    A terminal has one line that is rewritten, and a line that stays for each epoch. A notebook has one line that is
    rewritten, on stdout, as stderr is red there. A file has a line for each epoch, and one every `LINE_S`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._enabled = True
        self._is_notebook = "ipykernel" in sys.modules
        self._live = self._is_notebook or sys.stderr.isatty()
        self._width = 0
        self._images = 0
        self._batches_seen = 0
        self._started = 0.0
        self._last = 0.0
        self._paused = 0.0

    def disable(self) -> None:
        """Write nothing. Lightning calls this in every process but the first."""
        self._enabled = False

    def enable(self) -> None:
        """Write again."""
        self._enabled = True

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print a line that stays."""
        self._write(" ".join(str(arg) for arg in args), end="\n")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._images = self._batches_seen = 0
        self._started = self._last = time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: dict[str, Tensor], batch_idx: int
    ) -> None:
        """Count images, and write the line where it is due."""
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
        """Write the metrics of the epoch."""
        metrics = trainer.callback_metrics
        parts = [f"{name} {float(metrics[name]):.4f}" for name in SHOWN if name in metrics]
        rate = self._images * trainer.world_size / max(1e-9, time.monotonic() - self._started)
        self._write(
            f"{_epoch(trainer)}  {'  '.join(parts)}  {rate:,.0f} images/s", end="" if self._is_notebook else "\n"
        )

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the last line of a notebook."""
        if self._is_notebook and self._enabled:
            sys.stdout.write("\n")
            self._width = 0

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock: images/s is the rate of training."""
        self._paused = time.monotonic()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restart the clock."""
        self._started += time.monotonic() - self._paused

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
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
        """Count images, and write the line where it is due."""
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
        """Remove the line."""
        if self._live:
            self._write("", end="\r" if self._is_notebook else "")

    def _write(self, text: str, *, end: str) -> None:
        if not self._enabled:
            return
        stream = sys.stdout if self._is_notebook else sys.stderr
        if self._is_notebook:  # it knows no escape sequence that clears a line
            width, self._width = self._width, len(text)
            text = f"\r{text.ljust(width)}"
        elif self._live:
            text = f"\r\x1b[2K{text}"
        stream.write(text + end)
        stream.flush()


SHOWN = ("train/loss", "train/accuracy", "val/loss", "val/accuracy", "val/f1")


def _epoch(trainer: Trainer) -> str:
    """Return the current epoch, and the number of epochs where it is known."""
    of = f"/{trainer.max_epochs}" if _has_last_epoch(trainer) else ""
    return f"epoch {trainer.current_epoch + 1}{of}"


def _has_last_epoch(trainer: Trainer) -> bool:
    return trainer.max_epochs is not None and trainer.max_epochs >= 0


def _batches_left(trainer: Trainer, *, done: int) -> int | None:
    """Return the number of batches left in the whole run; None where it has no end."""
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
