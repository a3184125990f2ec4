"""TensorBoard curves, `history.csv`, and the metrics that other callbacks monitor."""

import csv
import io
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from imgrec.core.files.atomic_write import write_text
from imgrec.training.callbacks.finite import StopOnNonFinite
from imgrec.training.classifier import Classifier

MAX_CLASSES_SHOWN = 50  # there are three curves per class
GRID = (4, 8)  # rows and columns of the image of the first batch


class RunLog(Callback):
    """Logs loss, learning rates, gradient norm and images/s every `log_every_n_steps` steps, all metrics every epoch.

    `history.csv` has a row per epoch; the rows are part of the checkpoint, so a resumed run has each of them once.
    Learning rates are those of the last step.

    Args:
        folder: Where `history.csv` goes.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.history: list[dict[str, float]] = []
        self._row: dict[str, float] = {}
        self._rates: dict[str, float] = {}
        self._images = 0  # since the last logged step
        self._since = 0.0

    def state_dict(self) -> dict[str, Any]:
        """Return the rows so far, and the unfinished one."""
        return {"history": self.history, "row": self._row, "rates": self._rates}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the rows of the checkpoint."""
        self.history, self._row = list(state_dict["history"]), dict(state_dict["row"])
        self._rates = dict(state_dict.get("rates", {}))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._images, self._since = 0, time.monotonic()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: dict[str, Tensor], batch_idx: int
    ) -> None:
        """Note the learning rates before the schedule changes them."""
        self._rates = learning_rates(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: dict[str, Tensor], batch_idx: int
    ) -> None:
        """Count images, and log where it is due."""
        self._images += len(batch["indices"])
        if batch_idx == 0:
            self._log_images(trainer, pl_module)
        is_step = not trainer.fit_loop.epoch_loop._should_accumulate()
        if is_step and trainer.global_step % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            self._log_step(trainer, pl_module)

    def _log_step(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Classifier)
        if not self._images or pl_module.last_loss is None:
            return  # nothing since the last logged step
        now = time.monotonic()
        values = {
            "step/loss": float(pl_module.last_loss),
            "step/images_per_s": self._images * trainer.world_size / max(1e-9, now - self._since),
            **self._rates,
        }
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, StopOnNonFinite) and callback.grad_norm is not None:
                values["step/gradient_norm"] = float(callback.grad_norm)
        self._images, self._since = 0, now
        self._log(trainer, values)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the training metrics of the epoch, and complete its row of the history."""
        assert isinstance(pl_module, Classifier)
        self._publish(trainer, pl_module, pl_module.train_metrics.compute(), prefix="train")
        pl_module.step_plateau(trainer.callback_metrics)
        self._log_step(trainer, pl_module)
        self._row = {
            "epoch": trainer.current_epoch,
            "step": trainer.global_step,
            **self._rates,
            **self._row,
        }
        self.history.append(self._row)
        self._row = {}
        if trainer.is_global_zero:
            write_text(self.folder / "history.csv", to_csv(self.history))

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the last steps before validation, which is not training time."""
        if trainer.state.fn == "fit":
            self._log_step(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the validation metrics."""
        if trainer.state.fn == "fit":
            assert isinstance(pl_module, Classifier)
            self._publish(trainer, pl_module, pl_module.val_metrics.compute(), prefix="val")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restart the clock."""
        self._images, self._since = 0, time.monotonic()

    def _publish(self, trainer: Trainer, pl_module: Classifier, metrics: Mapping[str, Tensor], *, prefix: str) -> None:
        """Log scalars to TensorBoard, history and `callback_metrics`, and per-class values to TensorBoard."""
        scalars = {f"{prefix}/{name}": value for name, value in metrics.items() if value.ndim == 0}
        pl_module.log_dict(scalars, logger=False, on_step=False, on_epoch=True, batch_size=1)
        numbers = {name: float(value) for name, value in scalars.items()}
        self._row.update(numbers)
        if len(pl_module.class_names) <= MAX_CLASSES_SHOWN:
            for name, value in metrics.items():
                if value.ndim == 1:
                    per_class = zip(pl_module.class_names, value.tolist(), strict=True)
                    numbers |= {f"{prefix}_{name}/{class_name}": number for class_name, number in per_class}
        self._log(trainer, numbers)

    def _log(self, trainer: Trainer, values: Mapping[str, float]) -> None:
        if trainer.logger is not None:
            trainer.logger.log_metrics({**values, "epoch": trainer.current_epoch}, step=trainer.global_step)

    def _log_images(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log images of the first training batch as they enter the network: augmented, mixed, before normalisation."""
        assert isinstance(pl_module, Classifier)
        images, pl_module.first_images = pl_module.first_images, None
        experiment: Any = getattr(trainer.logger, "experiment", None)
        if images is not None and trainer.current_epoch == 0 and hasattr(experiment, "add_image"):
            experiment.add_image("first_batch/train", image_grid(images), 0)


def learning_rates(trainer: Trainer) -> dict[str, float]:
    """Return the learning rate of each parameter group, as `lr/NAME`."""
    groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
    return {f"lr/{group.get('name', index)}": float(group["lr"]) for index, group in enumerate(groups)}


def image_grid(images: Tensor, *, min_side_px: int = 64) -> Tensor:
    """Return the first of images (N, 3, H, W), 0 to 255, as a grid uint8 (3, H', W'); small ones are enlarged."""
    rows, columns = GRID
    images = images[: rows * columns].detach().float().clamp(0, 255).round().to("cpu", torch.uint8)
    zoom = max(1, -(-min_side_px // images.shape[-1]))
    images = images.repeat_interleave(zoom, dim=2).repeat_interleave(zoom, dim=3)
    images = torch.nn.functional.pad(images, (1, 1, 1, 1), value=255)
    missing = -len(images) % columns
    images = torch.cat([images, images.new_full((missing, *images.shape[1:]), 255)])
    _, channels, height, width = images.shape
    grid = images.reshape(-1, columns, channels, height, width).permute(2, 0, 3, 1, 4)
    return grid.reshape(channels, -1, columns * width)


def to_csv(rows: list[dict[str, float]]) -> str:
    """Return rows as CSV; a missing value is an empty cell."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
