"""From files and arrays to batches: sources hand over samples, these decode, prepare, augment and batch them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
