"""Losses: `loss(logits, targets) -> scalar`, for class indices, probabilities (MixUp) and several labels."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
