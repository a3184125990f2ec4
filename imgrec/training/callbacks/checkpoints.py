"""When a checkpoint is written: at the end of each epoch, now and then in between, and when the run is told to stop.

Two files in the run folder: `last.ckpt`, from which the run goes on, and `best.ckpt`, by the watched score. It is only
ever taken where Lightning can go on exactly:

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
    """Writes `last.ckpt` and `best.ckpt` into `folder`.

    monitor, mode: the score that decides what is best ("max" or "min"); of equals the last is kept, as the schedule has
        calmed it most: on a small validation set an early epoch often shares the best accuracy by luck.
    every_n_steps: also write `last.ckpt` after each so many optimizer steps; null = never for that reason.
    every_n_minutes: also write it when so many minutes have passed; null = never for that reason.
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
        """Where the best checkpoint is."""
        return self.folder / "best.ckpt"

    @property
    def last(self) -> Path:
        """Where the newest checkpoint is."""
        return self.folder / "last.ckpt"

    # What the checkpoint remembers of this callback

    def state_dict(self) -> dict[str, Any]:
        """Return the best score so far, and its epoch."""
        return {"monitor": self.monitor, "best_score": self.best_score, "best_epoch": self.best_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on comparing with the best so far, unless another score is watched now."""
        if state_dict["monitor"] == self.monitor:
            self.best_score, self.best_epoch = state_dict["best_score"], state_dict["best_epoch"]

    # When to save

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Finish what a kill between the two names of a new best checkpoint left undone."""
        start = trainer.ckpt_path
        if start and trainer.is_global_zero and Path(start).resolve() == self.best.resolve():
            link_checkpoint(self.best, self.last)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start listening for signals and counting time."""
        self._stop.listen()
        self._saved_at_step, self._saved_at_time = trainer.global_step, time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save if it is time, or if the run is to stop. Raises: StopRequestedError."""
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
        """Do not let a long validation delay a stop. Raises: StopRequestedError.

        Several processes wait for the end of the epoch: they may have validation batches of different number, and
        could not agree here.
        """
        if not self._stop.received or trainer.world_size > 1 or trainer.state.fn != "fit":
            return
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, WeightAveraging) and callback._average_model is not None:
                callback._swap_models(pl_module)  # validation runs on the average; what is saved is the live network
        self._validation_to_come = True
        self._save(trainer)
        self._interrupt(trainer, self._stop.received)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note that there are new scores; in the middle of an epoch look at them at once."""
        self._validated = trainer.state.fn == "fit"
        if self._validated and not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch and self._improves(trainer):
            self._save(trainer, best=True)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the epoch's end; Lightning runs this after every other callback. Raises: StopRequestedError."""
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
        """Return (signal number or 0, time to save); the same answer in every process."""
        stop, save = self._stop.received, self._is_due(trainer)
        if trainer.world_size > 1:
            wish = torch.tensor([stop, int(save)], device=trainer.strategy.root_device)
            torch.distributed.all_reduce(wish, op=torch.distributed.ReduceOp.MAX)
            stop, save = int(wish[0]), bool(wish[1])
        return stop, save

    def _is_due(self, trainer: Trainer) -> bool:
        if self.every_n_steps and trainer.global_step - self._saved_at_step >= self.every_n_steps:
            return True
        return bool(self.every_n_minutes) and time.monotonic() - self._saved_at_time >= self.every_n_minutes * 60  # type: ignore[operator]

    def _improves(self, trainer: Trainer) -> bool:
        """Take in the watched score; return whether it is as good as the best before. NaN never is."""
        self._validated = False
        scores: dict[str, Tensor] = trainer.callback_metrics
        if self.monitor not in scores:
            raise ConfigError(
                f"callbacks.checkpoints.monitor={self.monitor} is not a score of this run. "
                f"Choose one of: {', '.join(sorted(scores))}."
            )
        score = float(scores[self.monitor])
        if math.isnan(score):
            return False
        sign = 1 if self.mode == "max" else -1
        if self.best_score is not None and sign * score < sign * self.best_score:
            return False
        self.best_score, self.best_epoch = score, trainer.current_epoch
        return True

    def _save(self, trainer: Trainer, *, best: bool = False) -> None:
        """Write one file.

        A best one is written under its own name first, then becomes the last one by a link: a kill in between leaves
        an older `last.ckpt`, from which the same best one is reached again.
        """
        trainer.save_checkpoint(self.best if best else self.last, weights_only=False)
        if best and trainer.is_global_zero:
            link_checkpoint(self.best, self.last)
        self._saved_at_step, self._saved_at_time = trainer.global_step, time.monotonic()
        self._validation_to_come = False

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Mark a checkpoint after whose batch a validation is due."""
        if self._validation_to_come:
            _before_validation(checkpoint["loops"]["fit_loop"])

    def _interrupt(self, trainer: Trainer, number: int) -> None:
        self._stop.release()
        raise StopRequestedError(
            f"Stopped by {signal.Signals(number).name} after step {trainer.global_step}; saved in {self.last}. "
            f"The same command with run_dir={self.folder} goes on from there.",
            exit_code=128 + number,
        )


def _before_validation(fit_loop: dict[str, Any]) -> None:
    """Make the loop counters say: this batch is done, its validation has begun and no batch of it is finished.

    From that state Lightning runs the whole validation and then goes on. From the state it would save by itself it
    takes the validation for done, so that a score, a best checkpoint and a step of the schedule would be missing.
    """
    batches = fit_loop["epoch_loop.batch_progress"]
    for counts in (batches["total"], batches["current"]):
        counts["completed"] = counts["processed"]
    validation = fit_loop["epoch_loop.val_loop.batch_progress"]
    validation["total"] = {"ready": 1, "started": 1, "processed": 0, "completed": 0}
    validation["current"] = {"ready": 0, "started": 0, "processed": 0, "completed": 0}
