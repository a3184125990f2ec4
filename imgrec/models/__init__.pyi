from .backbone import make_backbone
from .cifar_resnet import CifarResNet, make_cifar_resnet
from .loaded_weights import LoadedWeights
from .network import ImageNetwork, Normalize, check_image_size
from .small_cnn import SmallCNN, make_small_cnn
from .weights import load_weights

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
