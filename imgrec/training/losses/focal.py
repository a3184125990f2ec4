"""Focal loss for one label per image."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812 - the name that every reader of PyTorch expects
from torch import Tensor, nn

from imgrec.core.config.checks import check_number
from imgrec.data.samples import Task
from imgrec.training.losses.class_weights import Weights, check_num_classes, class_weights_tensor
from imgrec.training.losses.cross_entropy import at_least_float32, check_single_label

__all__ = ["FocalLoss"]


class FocalLoss(nn.Module):
    """Cross entropy that down-weights easy examples: -(1 - p)^gamma log p. Lin et al. 2017, arXiv:1708.02002, eq. 4.

    `gamma=0` is exactly `nn.CrossEntropyLoss`, class weights (the paper's alpha, eq. 5) and label smoothing included.
    Logits (N, C); targets int64 (N,) class indices or float (N, C) probabilities, where each class's term has its own
    (1 - p_c)^gamma. Returns a scalar, the mean as `CrossEntropyLoss` takes it. Computed in float32 or better.

    Args:
        gamma: 0 or more; 2 in the paper.
        class_weights: As in `CrossEntropyLoss`.
        class_counts: As in `CrossEntropyLoss`.
        label_smoothing: As in `CrossEntropyLoss`.

    Raises:
        ConfigError: A value out of range, weights that do not fit the classes, or targets with several labels.
    """

    task: Task = "single"
    class_weights: Tensor | None

    def __init__(
        self,
        *,
        gamma: float = 2.0,
        class_weights: Weights = None,
        class_counts: Sequence[int] | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        check_number("loss.gamma", gamma, at_least=0)
        check_number("loss.label_smoothing", label_smoothing, at_least=0, below=1)
        self.gamma = gamma
        self.label_smoothing = label_smoothing
        # Not part of the state: weights follow from config and data, and a checkpoint opens under any loss.
        self.register_buffer("class_weights", class_weights_tensor(class_weights, class_counts), persistent=False)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over the batch."""
        check_single_label(targets, loss="focal")
        check_num_classes(self.class_weights, logits, key="loss.class_weights")
        log_p = focal_log_probabilities(at_least_float32(logits), self.gamma)  # (N, C)
        weights = torch.ones_like(log_p[0]) if self.class_weights is None else self.class_weights.to(log_p.dtype)
        if targets.ndim == 1:
            norm = weights[targets].sum()
            targets = F.one_hot(targets, log_p.shape[1])
        else:
            norm = log_p.new_tensor(float(len(targets)))
        targets = targets.to(log_p.dtype) * (1 - self.label_smoothing) + self.label_smoothing / log_p.shape[1]
        return -(targets * weights * log_p).sum() / norm


def focal_log_probabilities(logits: Tensor, gamma: float) -> Tensor:
    """Return (1 - p)^gamma log p of softmax probabilities p, from logits (N, C), with a finite gradient everywhere."""
    log_p = F.log_softmax(logits, dim=1)
    # expm1 keeps the digits of 1 - p where p is near 1; the floor keeps the slope of x^gamma at 0 finite for gamma < 1.
    one_minus_p = (-torch.expm1(log_p)).clamp_min(torch.finfo(log_p.dtype).tiny)
    return one_minus_p**gamma * log_p
