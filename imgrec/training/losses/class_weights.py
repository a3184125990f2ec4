"""Weights of the classes in a loss: given as a list, or balanced from the number of training images of each."""

from collections.abc import Sequence

import torch
from torch import Tensor

from imgrec.core.config.checks import check_number
from imgrec.core.text import listed
from imgrec.errors import ConfigError

__all__ = ["Weights", "balanced_weights", "check_num_classes", "class_weights_tensor", "given_weights"]

Weights = str | Sequence[float] | None
"""null (equal weights), "auto" (from the training set) or one number per class."""


def class_weights_tensor(class_weights: Weights, class_counts: Sequence[int] | None) -> Tensor | None:
    """Return float32 (C,) weights, or None for equal weights.

    Args:
        class_weights: None, "auto" or one number per class.
        class_counts: Number of training images of each class; "auto" needs it, and the length of a list must match.

    Raises:
        ConfigError: Another text, a list of another length, a weight that is not a finite number of 0 or more, or
            "auto" with an empty class or without counts.
    """
    if class_weights is None:
        return None
    key = "loss.class_weights"
    if not isinstance(class_weights, str):
        return given_weights(class_weights, class_counts, key=key)
    return balanced_weights(counts_for_auto(class_weights, class_counts, key=key))


def balanced_weights(class_counts: Sequence[int]) -> Tensor:
    """Return N / (C n_c): the average weight over the N training images is 1. After King and Zeng 2001.

    Raises:
        ConfigError: A class without images, whose weight would be infinite.
    """
    empty = [index for index, count in enumerate(class_counts) if count == 0]
    if empty:
        raise ConfigError(
            f"loss.class_weights=auto, but the training set has no image of class index {listed(empty)}. "
            f"Add some, remove the class, or give {len(class_counts)} weights yourself."
        )
    counts = torch.tensor(list(class_counts), dtype=torch.float64)
    return (counts.sum() / (len(counts) * counts)).float()


def given_weights(weights: Sequence[float], class_counts: Sequence[int] | None, *, key: str) -> Tensor:
    """Return given weights as float32 (C,).

    Raises:
        ConfigError: Another length than the classes, or an invalid number; the message names `key`.
    """
    if class_counts is not None and len(weights) != len(class_counts):
        raise ConfigError(f"{key} has {len(weights)} numbers, but there are {len(class_counts)} classes.")
    for index, weight in enumerate(weights):
        check_number(f"{key}[{index}]", weight, at_least=0)
    if not any(weight > 0 for weight in weights):
        raise ConfigError(
            f"{key} has no number above 0, so there is nothing to learn. Set it to null for equal weights."
        )
    return torch.tensor(list(weights), dtype=torch.float32)


def counts_for_auto(weights: str, class_counts: Sequence[int] | None, *, key: str) -> Sequence[int]:
    """Return the counts that `key=auto` needs.

    Raises:
        ConfigError: Another text than "auto", or no counts.
    """
    if weights != "auto":
        raise ConfigError(f"{key}={weights!r}, but it must be null, auto, or a list of one number per class.")
    if class_counts is None:
        raise ConfigError(f"{key}=auto needs loss.class_counts, the number of training images of each class.")
    return class_counts


def check_num_classes(weights: Tensor | None, logits: Tensor, *, key: str) -> None:
    """Check that there is one weight per column of logits (N, C).

    Raises:
        ConfigError: There is not; the message has both numbers.
    """
    if weights is not None and len(weights) != logits.shape[1]:
        raise ConfigError(f"{key} has {len(weights)} numbers, but the model has {logits.shape[1]} outputs.")
