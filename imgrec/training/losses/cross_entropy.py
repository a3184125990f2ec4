"""Cross entropy for one label per image."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812 - the name that every reader of PyTorch expects
from torch import Tensor, nn

from imgrec.core.config.checks import check_number
from imgrec.data.samples import Task
from imgrec.errors import ConfigError
from imgrec.training.losses.class_weights import Weights, check_num_classes, class_weights_tensor

__all__ = ["CrossEntropyLoss", "at_least_float32", "check_single_label"]


class CrossEntropyLoss(nn.Module):
    """`nn.CrossEntropyLoss` with class weights by name and in float32 whatever the precision of the logits.

    Logits (N, C); targets int64 (N,) class indices or float (N, C) probabilities (MixUp). Returns a scalar.
    With class weights the mean over int64 targets divides by the sum of their weights, over probabilities by N, as in
    PyTorch.

    Args:
        class_weights: None, "auto" (N / (C n_c), so that rare classes count as much as common ones) or C numbers.
        class_counts: Number of training images of each class, for "auto".
        label_smoothing: Share of the target spread evenly over all classes, 0 to below 1. Szegedy et al. 2016,
            section 7.

    Raises:
        ConfigError: A value out of range, weights that do not fit the classes, or targets with several labels.
    """

    task: Task = "single"
    class_weights: Tensor | None

    def __init__(
        self,
        *,
        class_weights: Weights = None,
        class_counts: Sequence[int] | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        check_number("loss.label_smoothing", label_smoothing, at_least=0, below=1)
        self.label_smoothing = label_smoothing
        # Not part of the state: weights follow from config and data, and a checkpoint opens under any loss.
        self.register_buffer("class_weights", class_weights_tensor(class_weights, class_counts), persistent=False)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over the batch."""
        check_single_label(targets, loss="cross_entropy")
        check_num_classes(self.class_weights, logits, key="loss.class_weights")
        logits = at_least_float32(logits)
        if targets.ndim == 2:
            targets = targets.to(logits.dtype)
        weights = None if self.class_weights is None else self.class_weights.to(logits.dtype)
        return F.cross_entropy(logits, targets, weight=weights, label_smoothing=self.label_smoothing)


def at_least_float32(logits: Tensor) -> Tensor:
    """Return half-precision logits as float32, others unchanged: 16 bits are too few for log p."""
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def check_single_label(targets: Tensor, *, loss: str) -> None:
    """Check for int64 (N,) or float (N, C) targets.

    Raises:
        ConfigError: Integers (N, C), which are several labels per image.
    """
    if targets.ndim == 2 and not targets.is_floating_point():
        raise ConfigError(f"loss={loss} takes one label per image, but the data has several. Set loss=bce.")
