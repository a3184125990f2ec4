"""Change the first layers of a network for images of 64 px and less.

ImageNet networks first make an image of 224 px 2 to 16 times smaller. Of an image of 32 px that leaves very little.
"""

from torch import nn

from imgrec.errors import ConfigError

# For messages; a test builds one network of each.
FAMILIES = (
    "alexnet, convnext, densenet, efficientnet, googlenet, inception, mnasnet, mobilenet, regnet, resnet, resnext, "
    "shufflenet, squeezenet, swin, wide_resnet"
)


def shrink_stem(backbone: nn.Module, name: str) -> frozenset[str]:
    """Make the first convolution keep the size of the image, and remove the max-pooling behind it, in place.

    A kernel of more than 3 px becomes 3 x 3 (He et al. 2015, section 4.2, for CIFAR). Non-overlapping patches, as of
    ConvNeXt and Swin, become half as wide instead: 4 x 4 to 2 x 2.

    Args:
        backbone: A network of torchvision.
        name: Its name, for messages.

    Returns:
        Names of the new parameters, with random values; empty where only a stride had to change.

    Raises:
        ConfigError: It has no such stem: VGG keeps the size already, ViT and MaxViT are built for one image size.
    """
    path, conv = next((path, module) for path, module in backbone.named_modules() if isinstance(module, nn.Conv2d))
    if conv.stride == (1, 1) or name.startswith(("vit_", "maxvit_")):
        raise ConfigError(
            f"model.stem=small: {name} has no stem to change. Use model.stem=standard, or one of the families "
            f"that have one: {FAMILIES}."
        )
    pool = next((path for path, module in backbone.named_modules() if isinstance(module, nn.MaxPool2d)), None)
    if pool is not None:
        backbone.set_submodule(pool, nn.Identity())
    if max(conv.kernel_size) <= 3:
        conv.stride = (1, 1)
        return frozenset()
    backbone.set_submodule(path, _small_conv(conv))
    return frozenset(f"{path}.{name}" for name, _ in conv.named_parameters())


def _small_conv(conv: nn.Conv2d) -> nn.Conv2d:
    """Return the convolution that replaces one with a large kernel, with He initialisation."""
    is_patches = conv.kernel_size == conv.stride
    side = conv.kernel_size[0] // 2 if is_patches else 3
    small = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        kernel_size=side,
        stride=side if is_patches else 1,
        padding=0 if is_patches else 1,
        bias=conv.bias is not None,
    )
    nn.init.kaiming_normal_(small.weight, mode="fan_out", nonlinearity="relu")
    if small.bias is not None:
        nn.init.zeros_(small.bias)
    return small
