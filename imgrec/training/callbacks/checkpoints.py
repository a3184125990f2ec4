"""Checkpoints: at the end of each epoch, at intervals in between, and when the run is stopped by a signal.

Two files in the run folder: `last.ckpt`, which the run resumes from, and `best.ckpt`, by the monitored metric. A
checkpoint is written only where Lightning can resume exactly:

- in the middle of an epoch, after an optimizer step that no validation follows;
- after the last training batch with the validation still to come (see `_before_validation`);
- at the end of an epoch, after validation, schedules and logs.
"""

import math
import signal
import time
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint, WeightAveraging
from torch import Tensor

from imgrec.core.checkpoint.lightning_io import link_checkpoint
from imgrec.errors import ConfigError, StopRequestedError
from imgrec.training.callbacks.stop_signal import StopSignal


class Checkpoints(Checkpoint):
    """Writes `last.ckpt` and `best.ckpt`.

    Args:
        folder: Where the files go.
        monitor: The metric that decides which epoch is best. Of equal epochs the last is kept: on a small validation
            set an early epoch, at a high learning rate, often reaches the best accuracy by chance.
        mode: "max" or "min".
        every_n_steps: Also write `last.ckpt` after this many optimizer steps; None: no.
        every_n_minutes: Also write `last.ckpt` after this many minutes; None: no.

    Raises:
        ConfigError: Another mode.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        monitor: str = "val/accuracy",
        mode: str = "max",
        every_n_steps: int | None = None,
        every_n_minutes: float | None = 10.0,
    ) -> None:
        if mode not in ("max", "min"):
            raise ConfigError(f"callbacks.checkpoints.mode={mode}: use max or min.")
        self.folder = Path(folder)
        self.monitor = monitor
        self.mode = mode
        self.every_n_steps = every_n_steps
        self.every_n_minutes = every_n_minutes
        self.best_score: float | None = None
        self.best_epoch: int | None = None
        self._stop = StopSignal()
        self._validated = False
        self._validation_to_come = False
        self._saved_at_step = 0
        self._saved_at_time = 0.0

    @property
    def best(self) -> Path:
        """Path of the best checkpoint."""
        return self.folder / "best.ckpt"

    @property
    def last(self) -> Path:
        """Path of the newest checkpoint."""
        return self.folder / "last.ckpt"

    # State in the checkpoint

    def state_dict(self) -> dict[str, Any]:
        """Return the best value so far, and its epoch."""
        return {"monitor": self.monitor, "best_score": self.best_score, "best_epoch": self.best_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best value, unless another metric is monitored now."""
        if state_dict["monitor"] == self.monitor:
            self.best_score, self.best_epoch = state_dict["best_score"], state_dict["best_epoch"]

    # When to save

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Link `last.ckpt` to `best.ckpt`, if the run was killed between writing the two."""
        start = trainer.ckpt_path
        if start and trainer.is_global_zero and Path(start).resolve() == self.best.resolve():
            link_checkpoint(self.best, self.last)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start to listen for signals and to measure time."""
        self._stop.listen()
        self._saved_at_step, self._saved_at_time = trainer.global_step, time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save where it is due or the run is to stop.

        Raises:
            StopRequestedError: A signal asked to stop; the checkpoint is written.
        """
        stop, save = self._agree(trainer)
        loop = trainer.fit_loop.epoch_loop
        if not (stop or save) or loop._should_accumulate():
            return
        fetcher = trainer.fit_loop._data_fetcher
        assert fetcher is not None
        self._validation_to_come = loop._should_check_val_fx(fetcher)
        if loop.batch_progress.is_last_batch and not self._validation_to_come:
            return  # the end of the epoch is next, and saves
        self._save(trainer)
        if stop:
            self._interrupt(trainer, stop)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Stop inside a validation. Several processes, which may differ in batches, stop at the end of the epoch.

        Raises:
            StopRequestedError: A signal asked to stop; the checkpoint is written.
        """
        if not self._stop.received or trainer.world_size > 1 or trainer.state.fn != "fit":
            return
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, WeightAveraging) and callback._average_model is not None:
                callback._swap_models(pl_module)  # validation uses the average, the checkpoint has the live network
        self._validation_to_come = True
        self._save(trainer)
        self._interrupt(trainer, self._stop.received)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note that there are new metrics; in the middle of an epoch compare them at once."""
        self._validated = trainer.state.fn == "fit"
        if self._validated and not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch and self._improves(trainer):
            self._save(trainer, best=True)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save at the end of the epoch; Lightning calls this after all other callbacks.

        Raises:
            StopRequestedError: A signal asked to stop; the checkpoint is written.
        """
        improved = self._validated and self._improves(trainer)
        self._save(trainer, best=improved or not self.best.exists())
        stop, _ = self._agree(trainer)
        if stop:
            self._interrupt(trainer, stop)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Stop listening."""
        self._stop.release()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop listening."""
        self._stop.release()

    # How

    def _agree(self, trainer: Trainer) -> tuple[int, bool]:
        """Return (signal number or 0, whether a save is due); the same in every process."""
        stop, save = self._stop.received, self._is_due(trainer)
        if trainer.world_size > 1:
            votes = torch.tensor([stop, int(save)], device=trainer.strategy.root_device)
            torch.distributed.all_reduce(votes, op=torch.distributed.ReduceOp.MAX)
            stop, save = int(votes[0]), bool(votes[1])
        return stop, save

    def _is_due(self, trainer: Trainer) -> bool:
        if self.every_n_steps and trainer.global_step - self._saved_at_step >= self.every_n_steps:
            return True
        return bool(self.every_n_minutes) and time.monotonic() - self._saved_at_time >= self.every_n_minutes * 60  # type: ignore[operator]

    def _improves(self, trainer: Trainer) -> bool:
        """Return whether the monitored metric is at least as good as the best before; NaN never is."""
        self._validated = False
        metrics: dict[str, Tensor] = trainer.callback_metrics
        if self.monitor not in metrics:
            raise ConfigError(
                f"callbacks.checkpoints.monitor={self.monitor} is not a metric of this run. "
                f"Choose one of: {', '.join(sorted(metrics))}."
            )
        value = float(metrics[self.monitor])
        if math.isnan(value):
            return False
        sign = 1 if self.mode == "max" else -1
        if self.best_score is not None and sign * value < sign * self.best_score:
            return False
        self.best_score, self.best_epoch = value, trainer.current_epoch
        return True

    def _save(self, trainer: Trainer, *, best: bool = False) -> None:
        """Write one checkpoint.

        A best one is written as `best.ckpt`, then linked as `last.ckpt`: a kill in between leaves an older
        `last.ckpt`, and the run resumed from it reaches the same best one again.
        """
        trainer.save_checkpoint(self.best if best else self.last, weights_only=False)
        if best and trainer.is_global_zero:
            link_checkpoint(self.best, self.last)
        self._saved_at_step, self._saved_at_time = trainer.global_step, time.monotonic()
        self._validation_to_come = False

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Mark a checkpoint that is followed by a validation."""
        if self._validation_to_come:
            _before_validation(checkpoint["loops"]["fit_loop"])

    def _interrupt(self, trainer: Trainer, number: int) -> None:
        self._stop.release()
        raise StopRequestedError(
            f"Stopped by {signal.Signals(number).name} after step {trainer.global_step}; saved in {self.last}. "
            f"The same command with run_dir={self.folder} resumes from it.",
            exit_code=128 + number,
        )


def _before_validation(fit_loop: dict[str, Any]) -> None:
    """Set the loop counters to: this batch is done, its validation has started and no batch of it is done.

    From that state Lightning runs the whole validation. With the counters that it would save by itself it skips the
    validation, and with it a metric, a best checkpoint and a step of the schedule.
    """
    batches = fit_loop["epoch_loop.batch_progress"]
    for counts in (batches["total"], batches["current"]):
        counts["completed"] = counts["processed"]
    validation = fit_loop["epoch_loop.val_loop.batch_progress"]
    validation["total"] = {"ready": 1, "started": 1, "processed": 0, "completed": 0}
    validation["current"] = {"ready": 0, "started": 0, "processed": 0, "completed": 0}
