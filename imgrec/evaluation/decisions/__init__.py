"""From logits to decisions: probabilities, the answers to act on, and sets of classes. NumPy is all that it needs."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
