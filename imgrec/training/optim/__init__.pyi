from .optimizers import make_optimizer
from .schedules import make_scheduler

__all__ = ["make_optimizer", "make_scheduler"]
