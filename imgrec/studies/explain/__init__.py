"""The study `explain`: saliency maps with checks of their faithfulness.

`occlusion`, `faithfulness`, `baseline`, `cells`, `similarity`, `overlay` and `verdict` do not import torch: they take
the model as a function from images to probabilities. Names of this package are imported when first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
