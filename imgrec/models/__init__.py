"""Networks for images: each maker returns an `ImageNetwork`, pixels in, logits out."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imgrec.models.backbone import make_backbone
    from imgrec.models.cifar_resnet import CifarResNet, make_cifar_resnet
    from imgrec.models.network import ImageNetwork, Normalize, check_image_size
    from imgrec.models.small_cnn import SmallCNN, make_small_cnn
    from imgrec.models.weights import LoadedWeights, load_weights

__all__ = [
    "CifarResNet",
    "ImageNetwork",
    "LoadedWeights",
    "Normalize",
    "SmallCNN",
    "check_image_size",
    "load_weights",
    "make_backbone",
    "make_cifar_resnet",
    "make_small_cnn",
]

_FILES = {
    "CifarResNet": "cifar_resnet",
    "ImageNetwork": "network",
    "LoadedWeights": "weights",
    "Normalize": "network",
    "SmallCNN": "small_cnn",
    "check_image_size": "network",
    "load_weights": "weights",
    "make_backbone": "backbone",
    "make_cifar_resnet": "cifar_resnet",
    "make_small_cnn": "small_cnn",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for and no more: torchvision takes a second, and most of these do without it."""
    if name not in _FILES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_FILES[name]}"), name)
