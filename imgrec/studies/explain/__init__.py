"""Where on an image a decision comes from, and whether that can be trusted. Names are imported when first used.

`occlusion`, `faithfulness`, `baseline`, `cells`, `similarity`, `overlay` and `verdict` need no torch: they take the
network as a function from images to probabilities, whatever runs it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
