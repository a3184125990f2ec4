"""Optimizers of torch.optim over named parameter groups, and learning-rate schedules with warm-up."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
