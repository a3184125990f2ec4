"""Binary cross entropy: each class is present or absent by itself, so an image can have several labels."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812 - the name that every reader of PyTorch expects
from torch import Tensor, nn

from imgrec.core.config.checks import check_number
from imgrec.core.text import listed
from imgrec.data.samples import Task
from imgrec.errors import ConfigError
from imgrec.training.losses.class_weights import Weights, check_num_classes, counts_for_auto, given_weights
from imgrec.training.losses.cross_entropy import at_least_float32

__all__ = ["BinaryCrossEntropyLoss", "pos_weight_tensor"]


class BinaryCrossEntropyLoss(nn.Module):
    """`nn.BCEWithLogitsLoss`, averaged over images and classes, in float32 whatever the precision of the logits.

    Logits (N, C); targets uint8 or float (N, C) of 0 to 1. With `one_hot` also int64 (N,) class indices: one label per
    image, each class against the rest (Wightman et al. 2021, arXiv:2110.00476). Returns a scalar.

    Args:
        pos_weight: Weight of a present label against an absent one: None (the same), "auto" (absent / present in the
            training set, per class) or C numbers.
        class_counts: Number of training images with each label, for "auto".
        num_samples: Number of training images, for "auto".
        label_smoothing: s, 0 to below 1; a target t becomes t (1 - s) + s u, with u = 1/2, or 1/C with `one_hot`.
        one_hot: Whether targets are class indices.

    Raises:
        ConfigError: A value out of range, weights that do not fit, or int64 targets without `one_hot`.
    """

    pos_weight: Tensor | None

    def __init__(
        self,
        *,
        pos_weight: Weights = None,
        class_counts: Sequence[int] | None = None,
        num_samples: int | None = None,
        label_smoothing: float = 0.0,
        one_hot: bool = False,
    ) -> None:
        super().__init__()
        check_number("loss.label_smoothing", label_smoothing, at_least=0, below=1)
        self.label_smoothing = label_smoothing
        self.one_hot = one_hot
        # Not part of the state: weights follow from config and data, and a checkpoint opens under any loss.
        self.register_buffer("pos_weight", pos_weight_tensor(pos_weight, class_counts, num_samples), persistent=False)

    @property
    def task(self) -> Task:
        """The task that the loss is for: "multilabel", or "single" with `one_hot`."""
        return "single" if self.one_hot else "multilabel"

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over the batch and the classes."""
        check_num_classes(self.pos_weight, logits, key="loss.pos_weight")
        if targets.ndim == 1:
            targets = self.one_hot_targets(targets, num_classes=logits.shape[1])
        logits = at_least_float32(logits)
        towards = 1 / logits.shape[1] if self.one_hot else 0.5
        targets = targets.to(logits.dtype) * (1 - self.label_smoothing) + self.label_smoothing * towards
        pos_weight = None if self.pos_weight is None else self.pos_weight.to(logits.dtype)
        return F.binary_cross_entropy_with_logits(logits, targets, pos_weight=pos_weight)

    def one_hot_targets(self, labels: Tensor, *, num_classes: int) -> Tensor:
        """Return labels (N,) as 0 and 1 (N, C).

        Raises:
            ConfigError: `one_hot` is False.
        """
        if not self.one_hot:
            raise ConfigError(
                "loss=bce takes several labels per image, but the data has one each. "
                "Set loss=cross_entropy, or loss.one_hot=true: each class against the rest."
            )
        return F.one_hot(labels, num_classes)


def pos_weight_tensor(
    pos_weight: Weights, class_counts: Sequence[int] | None, num_samples: int | None
) -> Tensor | None:
    """Return float32 (C,) weights of present labels, or None for equal weights.

    Raises:
        ConfigError: As `class_weights_tensor`; with "auto" also a label that no image or every image has.
    """
    if pos_weight is None:
        return None
    key = "loss.pos_weight"
    if not isinstance(pos_weight, str):
        return given_weights(pos_weight, class_counts, key=key)
    counts = counts_for_auto(pos_weight, class_counts, key=key)
    if num_samples is None:
        raise ConfigError(f"{key}=auto needs loss.num_samples, the number of training images.")
    constant = [index for index, count in enumerate(counts) if not 0 < count < num_samples]
    if constant:
        raise ConfigError(
            f"{key}=auto, but no training image or every one has the label of class index {listed(constant)}. "
            f"Remove the label, or give {len(counts)} weights yourself."
        )
    present = torch.tensor(list(counts), dtype=torch.float64)
    return ((num_samples - present) / present).float()
