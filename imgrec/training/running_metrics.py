"""Metrics over an epoch: batches are collected, and torchmetrics is updated once in `FLUSH_EVERY` batches.

An `update` of a torchmetrics collection takes about 2 ms whatever the batch, a training step of a small network less
than 1 ms. The values are those of an update per batch.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection

FLUSH_EVERY = 64


class ExactSum(Metric):
    """A sum in float64 that is the same to its last bit wherever partial sums end.

    A checkpoint flushes the batches collected so far, so the partial sums of a resumed run end at other batches, and in
    float32 they would round differently. In float64, float32 losses between 2^-5 and 2^4 over up to a million samples
    are added without rounding. torchmetrics 1.9 offers neither: SumMetric casts to float32 once it is moved to a
    device, and MeanMetric ignores its weights when NaN is let through, and NaN must not be hidden.
    """

    full_state_update = False
    sum_value: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("sum_value", default=torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, values: Tensor) -> None:
        """Add a tensor of any shape."""
        self.sum_value = self.sum_value.double() + values.double().sum()

    def compute(self) -> Tensor:
        """Return the sum: a scalar."""
        return self.sum_value


class RunningMetrics(nn.Module):
    """The mean loss and a collection of metrics over the batches since the last `reset`.

    `state_dict()` is empty, so that a checkpoint has the weights of the network alone; `state()` and `load_state()`
    carry a half-finished epoch over a restart. With several processes `compute` gathers all of them (torchmetrics).
    """

    def __init__(self, metrics: MetricCollection) -> None:
        super().__init__()
        self.metrics = metrics
        self.loss_sum = ExactSum()
        self.num_samples = ExactSum()
        self._losses: list[Tensor] = []
        self._predictions: list[Tensor] = []
        self._labels: list[Tensor] = []

    def add(self, loss: Tensor, predictions: Tensor, labels: Tensor) -> None:
        """Add a batch: its mean loss (a scalar), predictions and labels; all detached."""
        self._losses.append(loss)
        self._predictions.append(predictions)
        self._labels.append(labels)
        if len(self._losses) >= FLUSH_EVERY:
            self.flush()

    def flush(self) -> None:
        """Update torchmetrics with the collected batches."""
        if not self._losses:
            return
        losses = torch.stack(self._losses)
        sizes = torch.tensor([len(labels) for labels in self._labels], dtype=torch.float64).to(losses.device)
        self.loss_sum.update(losses.double() * sizes)
        self.num_samples.update(sizes)
        self.metrics.update(torch.cat(self._predictions), torch.cat(self._labels))
        self._clear()

    def _clear(self) -> None:
        self._losses, self._predictions, self._labels = [], [], []

    def compute(self) -> dict[str, Tensor]:
        """Return "loss" and each metric of the collection: scalars, or (C,) for one value per class."""
        self.flush()
        loss = (self.loss_sum.compute() / self.num_samples.compute()).float()
        return {"loss": loss, **self.metrics.compute()}

    def reset(self) -> None:
        """Start a new epoch."""
        self._clear()
        self.loss_sum.reset()
        self.num_samples.reset()
        self.metrics.reset()

    def state(self) -> dict[str, Tensor]:
        """Return the state of this process so far, as plain tensors."""
        self.flush()
        return {
            f"{name}.{key}": torch.as_tensor(value).detach().clone()
            for name, metric in self._metrics().items()
            for key, value in metric.metric_state.items()
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore `state()`, on the device that the metrics are on now."""
        self.reset()
        for name, metric in self._metrics().items():
            for key in metric.metric_state:
                setattr(metric, key, state[f"{name}.{key}"].to(metric.device))
            metric._update_count = 1  # or compute() warns that there was no update

    def _metrics(self) -> dict[str, Metric]:
        members = dict(self.metrics.items(keep_base=True, copy_state=True))
        return {"loss_sum": self.loss_sum, "num_samples": self.num_samples, **members}
