"""From logits to decisions: probabilities, the answers to act on, and sets of classes. NumPy is all that it needs."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imgrec.decisions.decisions import Decided, Decisions
    from imgrec.decisions.plan import Plan
    from imgrec.decisions.probabilities import to_probabilities


__all__ = ["Decided", "Decisions", "Plan", "to_probabilities"]

_HOMES = {
    "Decided": "decisions",
    "Decisions": "decisions",
    "Plan": "plan",
    "to_probabilities": "probabilities",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
