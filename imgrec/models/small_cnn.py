"""A small network to learn from: convolution, pooling, dense. Read it top to bottom; N is the number of images."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from imgrec.errors import ConfigError
from imgrec.models.network import IMAGENET_MEAN, IMAGENET_STD, ImageNetwork, Normalize, is_frozen
from imgrec.models.weights import load_weights

GRID = 4  # the dense layers see the image as 4 x 4 fields, whatever its size was


class SmallCNN(nn.Module):
    """Blocks of two convolutions and a pooling, then two dense layers.

    Shapes for images of 28 px and channels (32, 64):

        images     (N,  3, 28, 28)   normalised
        block 1    (N, 32, 14, 14)   edges and textures
        block 2    (N, 64,  7,  7)   parts made of them
        average    (N, 64,  4,  4)   the same grid for any size of image
        flatten    (N, 1024)         64 * 4 * 4 numbers
        dense      (N, 128)
        head       (N, num_classes)  logits

    Args:
        num_classes: Number of logits.
        channels: Of each block; each block halves the size of the image.
        hidden: Width of the dense layer.
        dropout: Fraction of the inputs of each dense layer that is set to 0 at random in training, 0 to 1.
    """

    def __init__(
        self, num_classes: int, *, channels: Sequence[int] = (32, 64), hidden: int = 128, dropout: float = 0.25
    ) -> None:
        super().__init__()
        inputs = [3, *channels[:-1]]
        self.blocks = nn.Sequential(*(make_block(i, o) for i, o in zip(inputs, channels, strict=True)))
        self.average = nn.AdaptiveAvgPool2d(GRID)
        self.dense = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(channels[-1] * GRID * GRID, hidden), nn.ReLU(), nn.Dropout(dropout)
        )
        self.head = nn.Linear(hidden, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) -> logits (N, num_classes)."""
        features = self.average(self.blocks(images))
        logits: Tensor = self.head(self.dense(features.flatten(start_dim=1)))
        return logits


def make_block(in_channels: int, out_channels: int) -> nn.Sequential:
    """Two 3x3 convolutions, then the maximum of every 2x2 pixels: (N, in, H, W) -> (N, out, H / 2, W / 2).

    BatchNorm brings each channel to mean 0 and variance 1 over the batch, which lets the learning rate be large. It
    has its own shift, so the convolution needs no bias.
    """
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
        nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
        nn.MaxPool2d(kernel_size=2),
    )


def make_small_cnn(
    num_classes: int,
    *,
    channels: Sequence[int] = (32, 64),
    hidden: int = 128,
    dropout: float = 0.25,
    weights: str | Path | None = None,
    freeze: str | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> ImageNetwork:
    """Build a `SmallCNN` after the normalisation of its images, which are 8 px or larger with two blocks.

    Args:
        num_classes: Number of logits.
        channels: As in `SmallCNN`, like the next two.
        hidden: Width of the dense layer.
        dropout: Fraction, 0 to 1.
        weights: None (random) or a file.
        freeze: None, or `backbone` to train the head alone.
        mean: Of the pixels, 0 to 1, per channel; None: ImageNet's, or that in a file by imgrec.
        std: Standard deviation, likewise.

    Raises:
        ConfigError: A width below 1, or dropout outside 0 to 1.
        WeightsError: Weights that do not fit.
    """
    if not channels or min(*channels, hidden) < 1 or not 0 <= dropout < 1:
        raise ConfigError(
            "small_cnn needs model.channels and model.hidden of 1 or more and model.dropout from 0 to below 1; "
            f"seen channels={list(channels)}, hidden={hidden}, dropout={dropout}."
        )
    network = ImageNetwork(
        Normalize(IMAGENET_MEAN if mean is None else mean, IMAGENET_STD if std is None else std),
        SmallCNN(num_classes, channels=channels, hidden=hidden, dropout=dropout),
        head_parameters=frozenset({"backbone.head.weight", "backbone.head.bias"}),
        frozen=is_frozen(freeze),
    )
    if weights is not None:
        load_weights(network, weights, keep_normalization=mean is not None or std is not None)
    return network
