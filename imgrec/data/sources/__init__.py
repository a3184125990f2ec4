"""Where images come from: one class a kind of source, each a data module whose `read` finds samples and classes."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
