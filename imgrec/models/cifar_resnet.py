"""The ResNet for CIFAR-10 of He et al. 2015, "Deep residual learning", arXiv:1512.03385, section 4.2."""

from collections.abc import Sequence
from pathlib import Path

import torch.nn.functional as F  # noqa: N812 (its usual name)
from torch import Tensor, nn

from imgrec.errors import ConfigError
from imgrec.models.network import IMAGENET_MEAN, IMAGENET_STD, ImageNetwork, Normalize, is_frozen
from imgrec.models.weights import load_weights


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut around them: (N, in, H, W) -> (N, out, H / stride, W / stride).

    Where the size changes, the shortcut takes every second pixel and fills the new channels with zeros, half on each
    side: option A of the paper, which has no parameters.
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.stride = stride
        self.new_channels = out_channels - in_channels

    def forward(self, x: Tensor) -> Tensor:
        """Shortcut plus the residual of the two convolutions."""
        residual = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.new_channels:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0) + (self.new_channels // 2,) * 2)
        return F.relu(residual + x)


class CifarResNet(nn.Module):
    """A convolution, three groups of n blocks at full, half and quarter size, average, linear: 6 n + 2 layers.

    Images (N, 3, H, W), normalised, made for 32 px -> logits (N, num_classes). The names of the parameters are those
    of the weights in akamaster/pytorch_resnet_cifar10.
    """

    def __init__(self, depth: int, num_classes: int) -> None:
        super().__init__()
        num_blocks = (depth - 2) // 6
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _make_group(16, 16, num_blocks=num_blocks)
        self.layer2 = _make_group(16, 32, num_blocks=num_blocks)
        self.layer3 = _make_group(32, 64, num_blocks=num_blocks)
        self.linear = nn.Linear(64, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) -> logits (N, num_classes)."""
        x = F.relu(self.bn1(self.conv1(x)))  # (N, 16, H, W)
        x = self.layer3(self.layer2(self.layer1(x)))  # (N, 64, H / 4, W / 4)
        logits: Tensor = self.linear(x.mean(dim=(2, 3)))
        return logits


def _make_group(in_channels: int, out_channels: int, *, num_blocks: int) -> nn.Sequential:
    first = BasicBlock(in_channels, out_channels, stride=out_channels // in_channels)
    return nn.Sequential(first, *(BasicBlock(out_channels, out_channels, stride=1) for _ in range(num_blocks - 1)))


def make_cifar_resnet(
    num_classes: int,
    *,
    depth: int = 20,
    weights: str | Path | None = None,
    freeze: str | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> ImageNetwork:
    """Build the ResNet for CIFAR with `depth` layers.

    Args:
        num_classes: Number of logits.
        depth: Layers with weights, 6 n + 2; 20, 32, 44, 56 and 110 in the paper.
        weights: None (random) or a file.
        freeze: None, or `backbone` to train the head alone.
        mean: Of the pixels, 0 to 1, per channel; None: ImageNet's, or that in a file by imgrec.
        std: Standard deviation, likewise.

    Raises:
        ConfigError: `depth` is not 6 n + 2.
        WeightsError: Weights that do not fit.
    """
    if depth < 8 or (depth - 2) % 6:
        below = max(8, depth - (depth - 2) % 6)
        raise ConfigError(f"model.depth={depth} is not 6 n + 2. The nearest that are: {below} and {below + 6}.")
    network = ImageNetwork(
        Normalize(IMAGENET_MEAN if mean is None else mean, IMAGENET_STD if std is None else std),
        CifarResNet(depth, num_classes),
        head_parameters=frozenset({"backbone.linear.weight", "backbone.linear.bias"}),
        frozen=is_frozen(freeze),
    )
    if weights is not None:
        load_weights(network, weights, keep_normalization=mean is not None or std is not None)
    return network
