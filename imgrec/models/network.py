"""`ImageNetwork`: normalisation and backbone in one module, decoded images in, logits out."""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from imgrec.errors import ConfigError
from imgrec.models.loaded_weights import LoadedWeights

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Normalize(nn.Module):
    """Normalise pixels of 0 to 255 as the backbone was trained: (x / 255 - mean) / std, per channel.

    As the first layer of the network it is the same in training, evaluation and deployment, and images are moved as
    uint8. Input (N, 3, H, W), uint8 or floating point of 0 to 255, contiguous or channels_last (which is kept); output
    float32, or the dtype to which the network was cast (`16-true`).

    Args:
        mean: For pixels of 0 to 1: red, green, blue.
        std: Likewise, above 0.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD) -> None:
        super().__init__()
        if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
            raise ConfigError(f"mean and std are 3 numbers each, std above 0; seen mean={list(mean)}, std={list(std)}.")
        self.register_buffer("mean", torch.tensor([float(value) for value in mean]))
        self.register_buffer("std", torch.tensor([float(value) for value in std]))

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W), 0 to 255 -> normalised, same shape and memory format."""
        # Converted first, then in place: a product of uint8 and float32 takes twice as long for the same bits.
        scale = (1 / (255 * self.std.float())).view(3, 1, 1)
        shift = (-self.mean.float() / self.std.float()).view(3, 1, 1)
        return images.to(torch.float32, copy=True).mul_(scale).add_(shift).to(self.mean.dtype)

    def extra_repr(self) -> str:
        """Return the six numbers for `print(network)`."""
        return f"mean={self.mean.tolist()}, std={self.std.tolist()}"


class ImageNetwork(nn.Module):
    """Normalisation, then a backbone with its head: images (N, 3, H, W), 0 to 255 -> logits (N, C).

    Args:
        normalize: The first layer.
        backbone: Normalised images -> logits.
        head_parameters: Names, as in `named_parameters()`, of the last layer's parameters (shapes that depend on C).
        frozen: Train the head alone: the rest has no gradients, and the backbone stays in evaluation mode (running
            statistics and dropout), also after `train()`. No activation before the head is kept.

    Attributes:
        loaded: What was read from a weights file, or None for random weights.
    """

    def __init__(
        self, normalize: Normalize, backbone: nn.Module, *, head_parameters: frozenset[str], frozen: bool = False
    ) -> None:
        super().__init__()
        self.normalize = normalize
        self.backbone = backbone
        self.head_parameters = head_parameters
        self.frozen = frozen
        self.loaded: LoadedWeights | None = None
        assert head_parameters <= {name for name, _ in self.named_parameters()}
        if frozen:
            for name, parameter in self.named_parameters():
                parameter.requires_grad_(name in head_parameters)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W), 0 to 255 -> logits (N, C)."""
        logits: Tensor = self.backbone(self.normalize(images))
        return logits

    def train(self, mode: bool = True) -> Self:
        """Set training mode; a frozen backbone stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    @property
    def num_parameters(self) -> int:
        """Number of trainable and frozen values, without buffers."""
        return sum(parameter.numel() for parameter in self.parameters())


def is_frozen(freeze: str | None) -> bool:
    """Return whether `model.freeze` freezes the backbone.

    Raises:
        ConfigError: Neither null nor `backbone`.
    """
    if freeze not in (None, "backbone"):
        raise ConfigError(f"model.freeze={freeze!r}: use null (train all) or backbone (train the head alone).")
    return freeze == "backbone"


def check_image_size(network: ImageNetwork, *, height: int, width: int) -> None:
    """Check before training that the layers accept images of this size, by a forward pass on the meta device.

    It takes milliseconds, as only shapes are computed.

    Raises:
        ConfigError: The images are too small for the layers, or not of the size that a transformer was built for.
    """
    shapes = {name: tensor.detach().to("meta") for name, tensor in network.state_dict().items()}
    mode = network.training
    network.eval()
    try:
        torch.func.functional_call(network, shapes, torch.empty(2, 3, height, width, device="meta"))
    except (RuntimeError, AssertionError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"The model cannot take images of {height} x {width} px: {reason}. "
            "Set a larger preprocess.size, model.stem=small for small images, or another model."
        ) from error
    finally:
        network.train(mode)
