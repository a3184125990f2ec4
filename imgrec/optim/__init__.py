"""Optimizers of torch.optim over named parameter groups, and learning-rate schedules with warm-up."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imgrec.optim.optimizers import make_optimizer
    from imgrec.optim.schedules import make_scheduler

__all__ = ["make_optimizer", "make_scheduler"]

_MODULES = {
    "make_optimizer": "imgrec.optim.optimizers",
    "make_scheduler": "imgrec.optim.schedules",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
