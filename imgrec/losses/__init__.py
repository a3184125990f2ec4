"""Losses: `loss(logits, targets) -> scalar`, for class indices, probabilities (MixUp) and several labels."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imgrec.losses.binary import BinaryCrossEntropyLoss
    from imgrec.losses.cross_entropy import CrossEntropyLoss
    from imgrec.losses.focal import FocalLoss

__all__ = ["BinaryCrossEntropyLoss", "CrossEntropyLoss", "FocalLoss"]

_MODULES = {
    "BinaryCrossEntropyLoss": "imgrec.losses.binary",
    "CrossEntropyLoss": "imgrec.losses.cross_entropy",
    "FocalLoss": "imgrec.losses.focal",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
