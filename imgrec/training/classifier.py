"""The LightningModule that trains a network: loss, metrics, optimizer, schedule and mixing are handed in."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torchmetrics import MetricCollection

from imgrec.evaluation.predictions.scorer import Batch, Scorer
from imgrec.training.running_metrics import RunningMetrics


class Classifier(Scorer):
    """The LightningModule that trains `net` and computes its metrics.

    Args:
        net: uint8 images (N, 3, H, W) to logits (N, C).
        loss: Logits float32 (N, C) and targets, int64 (N,) or float (N, C), to a scalar.
        metrics: Its `update` takes predictions and labels; copied for training and for validation.
        optimizer: Called with the network.
        scheduler: Called with the optimizer, `total_steps` and `steps_per_epoch`.
        mixing: Called as `mixing(images, labels, key=(...))` on training batches; returns images and soft targets.
        class_names: In the order of the logits.
        multilabel: Several labels per image: a sigmoid per class in place of the softmax.
        seed: Of the mixing.

    Attributes:
        record: Plain data that a checkpoint carries under the key "imgrec".
        last_loss: Of the last training batch, detached.
        first_images: Images of the first training batch of an epoch, as they enter the network.
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        loss: nn.Module,
        metrics: MetricCollection,
        optimizer: Callable[[nn.Module], Optimizer],
        scheduler: Callable[..., Any] | None = None,
        mixing: Callable[..., tuple[Tensor, Tensor]] | None = None,
        class_names: Sequence[str] = (),
        multilabel: bool = False,
        seed: int = 1,
    ) -> None:
        super().__init__(net)
        self.loss = loss
        self.train_metrics = RunningMetrics(metrics.clone())
        self.val_metrics = RunningMetrics(metrics.clone())
        self.optimizer_factory = optimizer
        self.scheduler_factory = scheduler
        self.mixing = mixing
        self.class_names = list(class_names)
        self.multilabel = multilabel
        self.seed = seed
        self.record: dict[str, Any] = {}
        self.last_loss: Tensor | None = None
        self.first_images: Tensor | None = None

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch. Metrics use the original labels, also where images are mixed."""
        images, targets = batch["images"], batch["labels"]
        if self.mixing is not None:
            key = (self.seed, self.current_epoch, batch_idx, self.global_rank)
            images, targets = self.mixing(images, targets, key=key)
        if batch_idx == 0:
            self.first_images = images
        logits = self(images)
        loss: Tensor = self.loss(logits, targets)
        self.last_loss = loss.detach()
        self.train_metrics.add(self.last_loss, self.predict(logits.detach()), batch["labels"])
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Update the validation metrics."""
        logits = self(batch["images"])
        self.val_metrics.add(self.loss(logits, batch["labels"]), self.predict(logits), batch["labels"])

    def predict(self, logits: Tensor) -> Tensor:
        """Return the input of the metrics: class indices (N,), or probabilities (N, C) for several labels."""
        return logits.sigmoid() if self.multilabel else logits.argmax(dim=1)

    def on_train_epoch_start(self) -> None:
        """Reset the metrics. Not called when a run resumes inside an epoch, so restored metrics stay."""
        self.train_metrics.reset()

    def on_validation_epoch_start(self) -> None:
        """Reset the metrics."""
        self.val_metrics.reset()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Build the optimizer, and the schedule for exactly the number of steps of this run."""
        optimizer = self.optimizer_factory(self.net)
        if self.scheduler_factory is None:
            return optimizer
        total_steps = self.trainer.estimated_stepping_batches  # infinite when no end is set
        batches, accumulated = self.trainer.num_training_batches, self.trainer.accumulate_grad_batches
        schedule = self.scheduler_factory(
            optimizer, total_steps=total_steps, steps_per_epoch=max(1, -(-int(batches) // accumulated))
        )
        schedules = schedule if isinstance(schedule, list) else [schedule]
        return [optimizer], schedules

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Step a schedule; one that monitors a metric is stepped by `step_plateau`, before the epoch's checkpoint."""
        if not isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step()

    def step_plateau(self, metrics: Mapping[str, Tensor]) -> None:
        """Step schedules that monitor a metric. Lightning itself would do so after the checkpoint is written."""
        for config in self.trainer.lr_scheduler_configs:
            if isinstance(config.scheduler, ReduceLROnPlateau) and config.monitor and config.monitor in metrics:
                config.scheduler.step(float(metrics[config.monitor]))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the record: configuration, class names and what else is needed to rebuild the classifier."""
        checkpoint["imgrec"] = self.record
