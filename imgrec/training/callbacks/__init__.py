"""What happens around a training step: checkpoints, logs, progress, and the checks that stop a run in time."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
