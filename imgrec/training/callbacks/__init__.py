"""Lightning callbacks: checkpoints, logs, progress, early stopping, and the check for NaN."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
