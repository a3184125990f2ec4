"""From logits to decisions: probabilities, reject options, prediction sets. Applying them needs NumPy only."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
