from .binary import BinaryCrossEntropyLoss
from .cross_entropy import CrossEntropyLoss
from .focal import FocalLoss

__all__ = ["BinaryCrossEntropyLoss", "CrossEntropyLoss", "FocalLoss"]
