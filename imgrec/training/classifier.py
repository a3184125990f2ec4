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
    """Trains `net`, and scores it as it goes.

    loss: (logits (N, C) float32, targets) to a scalar; targets are int64 (N,) or float (N, C).
    metrics: a collection whose `update` takes predictions and labels; copied for training and for validation.
    optimizer: called with the network. scheduler: called with the optimizer, `total_steps` and `steps_per_epoch`.
    mixing: called as mixing(images, labels, key=(...)) on training batches; returns images and soft targets.
    class_names: what index i of the logits means.
    multilabel: several labels per image: logits are turned to probabilities by a sigmoid each.
    record: plain data that a checkpoint carries under the key "imgrec".
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
        """Return the loss of a batch. Scores are against the labels as given, also where images are mixed."""
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
        """Count a validation batch."""
        logits = self(batch["images"])
        self.val_metrics.add(self.loss(logits, batch["labels"]), self.predict(logits), batch["labels"])

    def predict(self, logits: Tensor) -> Tensor:
        """Return what the metrics take: class indices (N,), or probabilities (N, C) for several labels."""
        return logits.sigmoid() if self.multilabel else logits.argmax(dim=1)

    def on_train_epoch_start(self) -> None:
        """Begin to count; not called when an epoch is entered in the middle, so a restored count goes on."""
        self.train_metrics.reset()

    def on_validation_epoch_start(self) -> None:
        """Begin to count."""
        self.val_metrics.reset()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Build the optimizer, and the schedule for exactly the steps that this run will take."""
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
        """Step a schedule; one that watches a score is stepped by `step_plateau`, before the epoch's checkpoint."""
        if not isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step()

    def step_plateau(self, scores: Mapping[str, Tensor]) -> None:
        """Let schedules that watch a score see it. Lightning itself would do so after the checkpoint is written."""
        for config in self.trainer.lr_scheduler_configs:
            if isinstance(config.scheduler, ReduceLROnPlateau) and config.monitor and config.monitor in scores:
                config.scheduler.step(float(scores[config.monitor]))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the record: the config, the class names and what else is needed to build this again."""
        checkpoint["imgrec"] = self.record
