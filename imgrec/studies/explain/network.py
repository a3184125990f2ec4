"""PyTorch models as functions from images to probabilities."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from imgrec.evaluation.decisions.probabilities import to_probabilities
from imgrec.models.inference import infer
from imgrec.studies.explain.arrays import FloatArray, Predict, UInt8Array

__all__ = ["FromLogits", "as_predict", "device_of", "softmax", "to_images"]

FromLogits = Callable[[NDArray[Any]], FloatArray]
"""Logits (N, C) to probabilities (N, C), such as `Decisions.probabilities` of a checkpoint."""


def device_of(network: nn.Module) -> torch.device:
    """Return the device of the parameters; the CPU for a network without any."""
    parameter = next(network.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device


def to_images(images: UInt8Array, device: torch.device) -> Tensor:
    """Return images uint8 (N, H, W, 3) as float32 (N, 3, H, W), 0 to 255, the values that gradients are taken for."""
    planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    return torch.from_numpy(planes).to(device).float()


def softmax(logits: NDArray[Any]) -> FloatArray:
    """Return probabilities for one label per image, at temperature 1."""
    return to_probabilities(logits, task="single")


def as_predict(network: nn.Module, *, from_logits: FromLogits = softmax) -> Predict:
    """Return a function from images uint8 (N, H, W, 3) to probabilities float64 (N, C)."""
    device = device_of(network)

    return lambda images: from_logits(infer(network, [images], device=device).logits)
