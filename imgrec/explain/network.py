"""A network of torch as the function of pictures that the rest of this package works with."""

import numpy as np
import torch
from torch import Tensor, nn

from imgrec.explain.arrays import FloatArray, Predict, UInt8Array

__all__ = ["as_predict", "device_of", "to_images"]


def device_of(network: nn.Module) -> torch.device:
    """Return where the network's numbers are; the CPU for one without any."""
    numbers = next(network.parameters(), None)
    return torch.device("cpu") if numbers is None else numbers.device


def to_images(pictures: UInt8Array, device: torch.device) -> Tensor:
    """Return pictures uint8 (N, H, W, 3) as float32 (N, 3, H, W), 0 to 255: gradients are by these values."""
    planes = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))
    return torch.from_numpy(planes).to(device).float()


def as_predict(network: nn.Module, *, multilabel: bool = False) -> Predict:
    """Return the network as pictures uint8 (N, H, W, 3) -> probabilities float64 (N, C), softmax or sigmoid."""
    device = device_of(network)

    def predict(pictures: UInt8Array) -> FloatArray:
        with torch.no_grad():
            logits = network(to_images(pictures, device)).double()
        probabilities = logits.sigmoid() if multilabel else logits.softmax(dim=1)
        return np.asarray(probabilities.cpu().numpy())

    return predict
