"""From files and arrays to batches: data sources, splits, decoding, preprocessing, augmentation, loading."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
